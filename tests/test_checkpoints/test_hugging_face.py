"""hf:// addresses, against a server that has the Hub's paths."""

import functools
import http.server
import os
import re
import threading

import pytest
import torch
from mmengine.runner import CheckpointLoader

from s5_mm.checkpoints import (
    UnsafeCheckpointError,
    install_safe_loader,
    load_address,
    write_safetensors,
)
from s5_mm.checkpoints.hugging_face import download, parse_address
from s5_mm.models.backbones import ViT

from .test_loading import SIZES, _mae


class Call:
    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (self.mark,)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """Folder of the files of someone/weights at main, and the requests so far."""
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

        def do_GET(self):
            asked.append(self.path)
            if 'private' in self.path:
                self.send_error(401)
            else:
                super().do_GET()

    served = tmp_path / 'served'
    folder = served / 'someone/weights/resolve/main'
    folder.mkdir(parents=True)
    server = http.server.ThreadingHTTPServer(
        ('127.0.0.1', 0), functools.partial(Handler, directory=str(served))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv('HF_ENDPOINT', f'http://127.0.0.1:{server.server_port}/')
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path / 'hub'))
    schemes = dict(CheckpointLoader._schemes)
    install_safe_loader()
    yield folder, asked
    CheckpointLoader._schemes = schemes
    server.shutdown()
    server.server_close()


def test_mmengines_loader_and_init_cfg_take_the_address(hub):
    folder, asked = hub
    (folder / 'sub').mkdir()
    torch.save({'model': _mae(grid=4)}, folder / 'sub/mae.pth')
    address = 'hf://someone/weights/sub/mae.pth'
    loaded = CheckpointLoader.load_checkpoint(address, map_location='cpu')
    assert torch.equal(loaded['model']['cls_token'], _mae()['cls_token'])
    model = ViT(
        SIZES, img_size=64, init_cfg=dict(type='Pretrained', checkpoint=address)
    )
    model.init_weights()
    assert torch.equal(model.layers[1].ln1.bias, _mae()['blocks.1.norm1.bias'])
    # Fetched once.
    assert asked == ['/someone/weights/resolve/main/sub/mae.pth']


def test_safetensors_and_revisions(hub):
    folder, asked = hub
    other = folder.parent / 'v1.0'
    other.mkdir()
    write_safetensors(folder / 'a.safetensors', {'w': torch.zeros(2)})
    write_safetensors(other / 'a.safetensors', {'w': torch.ones(2)})
    assert load_address('hf://someone/weights/a.safetensors')['w'].sum() == 0
    assert load_address('hf://someone/weights@v1.0/a.safetensors')['w'].sum() == 2
    assert len(asked) == 2


def test_code_is_refused_and_not_run(hub, tmp_path):
    folder, _ = hub
    mark = tmp_path / 'executed'
    torch.save({'model': Call(str(mark))}, folder / 'evil.pth')
    named = 'someone/weights/main/evil.pth: refused'
    with pytest.raises(UnsafeCheckpointError, match=named):
        CheckpointLoader.load_checkpoint('hf://someone/weights/evil.pth')
    assert not mark.exists()


@pytest.mark.parametrize(
    ('address', 'kind', 'text'),
    [
        ('hf://someone/weights/x.pth', FileNotFoundError, 'no such file; http://127'),
        ('hf://someone/private/x.pth', ConnectionError, 'http.* answers 401 Unauth'),
    ],
)
@pytest.mark.usefixtures('hub')
def test_what_the_server_has_not_or_does_not_give(address, kind, text):
    with pytest.raises(kind, match=f'^{re.escape(address)}: {text}'):
        download(address)
    kept = [files for _, _, files in os.walk(torch.hub.get_dir()) if files]
    assert kept == []


@pytest.mark.usefixtures('hub')
def test_a_server_that_is_not_there(monkeypatch):
    monkeypatch.setenv('HF_ENDPOINT', 'http://127.0.0.1:1')
    with pytest.raises(ConnectionError, match='127.0.0.1:1 cannot be reached'):
        download('hf://someone/weights/y.pth')


@pytest.mark.parametrize(
    'address',
    [
        'hf://someone/weights',
        'hf://someone/weights/',
        'hf://weights.pth',
        'hf://someone/weights/../../x.pth',
        'hf://../weights/x.pth',
        'hf://someone/weights//x.pth',
        'hf://someone/weights@../x.pth',
    ],
)
def test_addresses_of_another_form(address):
    with pytest.raises(ValueError, match=f'^{re.escape(address)}: expected hf://OWNER'):
        parse_address(address)


def test_parts_of_an_address():
    assert parse_address('hf://a/b-c/d/e.pth') == ('a', 'b-c', 'main', 'd/e.pth')
    assert parse_address('hf://a/b@2f1/e.pth') == ('a', 'b', '2f1', 'e.pth')
