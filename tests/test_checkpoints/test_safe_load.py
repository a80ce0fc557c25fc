import argparse
import functools
import gzip
import http.server
import os
import pickle
import tarfile
import threading
import zipfile

import pytest
import torch
from mmengine.model import BaseModule
from mmengine.runner import CheckpointLoader, load_checkpoint
from safetensors.torch import save_file
from torch import nn

from s5_mm.checkpoints import (
    DamagedCheckpointError,
    UnsafeCheckpointError,
    install_safe_loader,
    load_data_only,
)


class Call:
    """Pickles as a call."""

    def __init__(self, function, *args):
        self.function, self.args = function, args

    def __reduce__(self):
        return self.function, self.args


class Stateful:
    def __setstate__(self, state):
        os.mkdir(state['path'])

    def __getstate__(self):
        return self.__dict__


def _hostile(mark):
    """Objects whose unpickling makes the directory ``mark``, and a few that might."""
    stateful = Stateful()
    stateful.path = mark
    return {
        'mkdir': Call(os.mkdir, mark),
        'eval': Call(eval, f'__import__("os").mkdir({mark!r})'),
        'exec': Call(exec, f'import os; os.mkdir({mark!r})'),
        'system': Call(os.system, f'mkdir {mark}'),
        'partial': Call(functools.partial(os.mkdir, mark)),
        'setstate': stateful,
        'namespace': argparse.Namespace(a=Call(os.mkdir, mark)),
        'module': nn.Linear(2, 2),
    }


WRITERS = {
    'zip': torch.save,
    'legacy': functools.partial(torch.save, _use_new_zipfile_serialization=False),
    'pickle0': lambda obj, path: path.write_bytes(pickle.dumps(obj, protocol=0)),
    'pickle2': lambda obj, path: path.write_bytes(pickle.dumps(obj, protocol=2)),
    'pickle4': lambda obj, path: path.write_bytes(pickle.dumps(obj, protocol=4)),
}


@pytest.fixture
def safe_loader():
    schemes = dict(CheckpointLoader._schemes)
    install_safe_loader()
    yield
    CheckpointLoader._schemes = schemes


@pytest.mark.parametrize('writer', WRITERS)
@pytest.mark.parametrize('name', _hostile('x'))
def test_hostile_pickle_is_refused_by_name_and_not_executed(tmp_path, name, writer):
    mark = tmp_path / 'executed'
    path = tmp_path / 'evil.pth'
    content = {'state_dict': {'w': torch.ones(2)}, 'x': _hostile(str(mark))[name]}
    WRITERS[writer](content, path)
    with pytest.raises((UnsafeCheckpointError, DamagedCheckpointError)) as caught:
        load_data_only(path)
    assert 'evil.pth' in str(caught.value)
    if writer in ('zip', 'legacy', 'pickle2'):
        assert isinstance(caught.value, UnsafeCheckpointError)
        assert 'refers to the function or class' in str(caught.value)
        assert 'save them again' in str(caught.value)
    assert not mark.exists()


def test_arguments_of_a_training_script_are_no_obstacle(tmp_path):
    content = {'model': {'w': torch.ones(2)}, 'args': argparse.Namespace(lr=0.1)}
    torch.save(content, tmp_path / 'mae.pth')
    loaded = load_data_only(tmp_path / 'mae.pth')
    assert loaded['args'].lr == 0.1
    assert torch.equal(loaded['model']['w'], torch.ones(2))


def test_host_alone_executes_what_we_refuse(tmp_path):
    """The reason for this module; should it fail, the host has been mended."""
    mark = tmp_path / 'executed'
    torch.save({'x': Call(os.mkdir, str(mark))}, tmp_path / 'evil.pth')
    CheckpointLoader.load_checkpoint(str(tmp_path / 'evil.pth'))
    assert mark.exists()


class _Net(BaseModule):
    def __init__(self, init_cfg=None):
        super().__init__(init_cfg)
        self.fc = nn.Linear(2, 2)


@pytest.mark.usefixtures('safe_loader')
@pytest.mark.parametrize('prefix', ['', 'local://'])
def test_every_entry_of_the_host_is_guarded(tmp_path, prefix):
    mark = tmp_path / 'executed'
    evil = tmp_path / 'evil.pth'
    torch.save({'state_dict': {}, 'x': Call(os.mkdir, str(mark))}, evil)
    with pytest.raises(UnsafeCheckpointError, match='posix.mkdir'):
        load_checkpoint(_Net(), prefix + str(evil))
    net = _Net(init_cfg=dict(type='Pretrained', checkpoint=prefix + str(evil)))
    with pytest.raises(UnsafeCheckpointError, match='posix.mkdir'):
        net.init_weights()
    assert not mark.exists()

    good, other = _Net(), _Net()
    torch.save({'state_dict': good.state_dict()}, tmp_path / 'good.pth')
    load_checkpoint(other, prefix + str(tmp_path / 'good.pth'))
    assert torch.equal(other.fc.weight, good.fc.weight)


@pytest.mark.usefixtures('safe_loader')
def test_web_address_is_loaded_as_data(tmp_path, monkeypatch):
    served = tmp_path / 'served'
    served.mkdir()
    mark = tmp_path / 'executed'
    torch.save({'x': Call(os.mkdir, str(mark))}, served / 'evil.pth')
    torch.save({'w': torch.ones(3)}, served / 'good.pth')
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path / 'hub'))

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    handler = functools.partial(Quiet, directory=str(served))
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f'http://127.0.0.1:{server.server_port}/'
        loaded = CheckpointLoader.load_checkpoint(address + 'good.pth')
        with pytest.raises(UnsafeCheckpointError, match='posix.mkdir'):
            CheckpointLoader.load_checkpoint(address + 'evil.pth')
        server.shutdown()
    assert torch.equal(loaded['w'], torch.ones(3))
    assert not mark.exists()


@pytest.mark.usefixtures('safe_loader')
@pytest.mark.parametrize('scheme', ['torchvision', 'open-mmlab', 's3', 'mmcls'])
def test_other_schemes_are_refused(scheme):
    with pytest.raises(ValueError, match='expected a path, an http'):
        CheckpointLoader.load_checkpoint(f'{scheme}://resnet50')


def test_torchscript_is_refused(tmp_path):
    path = tmp_path / 'script.pt'
    torch.jit.script(nn.Linear(2, 2)).save(str(path))
    with pytest.raises(UnsafeCheckpointError, match='TorchScript'):
        load_data_only(path)


WRITES = {
    'zip': functools.partial(torch.save, {'w': torch.ones(20_000)}),
    'legacy': functools.partial(
        torch.save, {'w': torch.ones(20_000)}, _use_new_zipfile_serialization=False
    ),
    'safetensors': functools.partial(save_file, {'w': torch.ones(20_000)}),
}


@pytest.mark.parametrize('kind', WRITES)
def test_a_file_that_is_cut_off_anywhere_is_named_in_one_line(tmp_path, kind):
    """Below 64 kB torch raises a bare OSError for a zip archive without its end."""
    path = tmp_path / ('cut.safetensors' if kind == 'safetensors' else 'cut.pth')
    WRITES[kind](path)
    whole = path.read_bytes()
    assert len(whole) > 80_000
    lengths = [*range(1, 70), *range(70, 2_000, 97), *range(2_000, len(whole), 3_001)]
    for length in [*lengths, 65_535, 65_536, *range(len(whole) - 60, len(whole), 7)]:
        path.write_bytes(whole[:length])
        with pytest.raises(DamagedCheckpointError) as caught:
            load_data_only(path)
        text = str(caught.value)
        assert text.startswith(f'{path}: damaged, or no checkpoint at all: ')
        assert '\n' not in text
        assert ': .' not in text
        if kind == 'zip':
            assert f'it ends after {length:,} bytes without the central' in text
            assert text.endswith('or resume from an older checkpoint')


def _zip_of(path, **entries):
    with zipfile.ZipFile(path, 'w') as archive:
        for name, text in entries.items():
            archive.writestr(name, text)


def _tar_of(path):
    (path.parent / 'model.pth').write_bytes(b'0' * 600)
    with tarfile.open(path, 'w') as archive:
        archive.add(path.parent / 'model.pth', 'model.pth')


@pytest.mark.parametrize(
    ('spoil', 'reason'),
    [
        (lambda path: path.touch(), 'it is empty.'),
        (
            lambda path: path.write_bytes(bytes(range(256)) * 9),
            'cut off or altered (UnpicklingError: Unsupported operand 0).',
        ),
        (
            lambda path: path.write_text('<html>\n<title>404</title>'),
            "it is text that begins with '<html> <title>404</title>'.",
        ),
        (
            lambda path: path.write_text('ä' * 400),
            f'it is text that begins with {"ä" * 60!r}.',
        ),
        (
            lambda path: path.write_bytes('Grüße\taus Zürich\n'.encode('latin-1')),
            "it is text that begins with 'Grüße aus Zürich'.",
        ),
        (
            lambda path: path.write_text('version https://git-lfs.github.com/spec/v1'),
            'it is a pointer of git-lfs, not the file itself; run `git lfs pull`.',
        ),
        (
            lambda path: path.write_bytes(gzip.compress(b'weights')),
            'it is a gzip archive; unpack it first.',
        ),
        (_tar_of, 'it is a tar archive; unpack it first.'),
        (
            functools.partial(_zip_of, a='1', b='2', c='3', d='4'),
            'it is a zip archive of something else, which holds a, b, c.',
        ),
        (_zip_of, 'it is a zip archive of something else, which holds nothing.'),
        (
            lambda path: torch.save([1], path),
            'it holds a list, not a dict of tensors.',
        ),
    ],
)
def test_what_is_no_checkpoint_is_described(tmp_path, spoil, reason):
    path = tmp_path / 'broken.pth'
    spoil(path)
    with pytest.raises(DamagedCheckpointError) as caught:
        load_data_only(path)
    assert str(caught.value) == (
        f'{path}: damaged, or no checkpoint at all: {reason} Expected a file written '
        'by torch.save (.pth, .pt, .bin, .tar) or a .safetensors file; copy or '
        'download it again, or resume from an older checkpoint'
    )


@pytest.mark.parametrize('legacy', [False, True])
def test_names_of_files_do_not_matter(tmp_path, legacy):
    path = tmp_path / 'checkpoint.pth.tar'
    torch.save({'w': torch.ones(2)}, path, _use_new_zipfile_serialization=not legacy)
    assert torch.equal(load_data_only(path)['w'], torch.ones(2))


def test_directory_is_named_with_what_it_holds(tmp_path):
    for name in ('iter_2.pth', 'iter_10.pth', 'log.txt'):
        (tmp_path / name).touch()
    with pytest.raises(IsADirectoryError) as caught:
        load_data_only(tmp_path)
    assert str(caught.value) == (
        f'{tmp_path}: a directory, expected a checkpoint file; files of weights in '
        'it: iter_10.pth, iter_2.pth'
    )


def test_file_that_may_not_be_read_is_not_called_damaged(tmp_path, monkeypatch):
    path = tmp_path / 'a.pth'
    torch.save({'w': torch.ones(2)}, path)

    def refuse(name, mode):
        raise PermissionError(13, 'Permission denied', name)

    monkeypatch.setattr('builtins.open', refuse)
    with pytest.raises(PermissionError, match='a.pth'):
        load_data_only(path)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'none\.pth: no such checkpoint'):
        load_data_only(tmp_path / 'none.pth')


def test_safetensors(tmp_path):
    save_file({'w': torch.arange(3.0)}, tmp_path / 'a.safetensors')
    assert torch.equal(
        load_data_only(tmp_path / 'a.safetensors')['w'], torch.arange(3.0)
    )
    (tmp_path / 'b.safetensors').write_bytes(b'no')
    with pytest.raises(DamagedCheckpointError, match=r'b\.safetensors'):
        load_data_only(tmp_path / 'b.safetensors')


def test_plain_checkpoint_keeps_every_bit(tmp_path):
    content = {'state_dict': {'w': torch.randn(5)}, 'meta': {'iter': 3, 'cfg': 'a = 1'}}
    torch.save(content, tmp_path / 'a.pth')
    loaded = load_data_only(tmp_path / 'a.pth')
    assert torch.equal(loaded['state_dict']['w'], content['state_dict']['w'])
    assert loaded['meta'] == content['meta']
