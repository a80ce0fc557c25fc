"""What the hosts' errors mean for the user."""

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import MODELS
from torch.utils.data import DataLoader

from s5_mm.cli.command import run_command
from s5_mm.cli.known_errors import known_error
from s5_mm.cli.refusals import log_traceback
from s5_mm.cli.runner import CommandRunner

NAME = 'test_refusals.py'


def _line(build, capsys, *arguments):
    status = run_command(lambda argv: build() and None, arguments)
    error = capsys.readouterr().err
    assert error.count('\n') == 1, error
    return status, error.removeprefix(f'{NAME}: ').rstrip('\n')


def _building(capsys, **settings):
    cfg = Config(
        dict(model=dict(parts=[dict(type='s5_mm.ViT'), dict(settings)])),
        filename=__file__,
    )

    def main(argv):
        MODELS.build(cfg.model.parts[1])

    assert run_command(main, []) == 2
    return capsys.readouterr().err.removeprefix(f'{NAME}: {__file__}: ').rstrip('\n')


def test_unknown_type_names_its_key_and_what_is_near(capsys):
    assert _building(capsys, type='s5_mm.Vit') == (
        "model.parts.1: there is no model of type 's5_mm.Vit'; did you mean "
        "'s5_mm.ViT' or 's5_mm.ViTMoE' or 's5_mm.ViTRVSA'?"
    )
    assert _building(capsys, type='Nonesuch').endswith(
        "of type 'Nonesuch'; if it is your own, name its module in custom_imports"
    )


def test_unknown_argument(capsys):
    assert _building(capsys, type='s5_mm.ViT', arch='t', img_sise=64) == (
        "model.parts.1: s5_mm.ViT takes no argument 'img_sise', did you mean "
        "'img_size'?"
    )


def test_unknown_argument_of_a_class_that_hands_the_rest_on(capsys):
    found = _building(capsys, type='s5_mm.EncoderDecoder', decode_hed={}, backbone={})
    assert found == (
        "model.parts.1: s5_mm.EncoderDecoder takes no argument 'decode_hed', did you "
        "mean 'decode_head'?"
    )


def test_missing_argument_and_type(capsys):
    found = _building(capsys, type='mmengine.StochasticWeightAverage')
    assert found.startswith('model.parts.1: mmengine.StochasticWeightAverage: TypeErr')
    assert found.endswith("missing 1 required positional argument: 'model'")
    assert _building(capsys, arch='t') == (
        'model.parts.1: it has no type, expected the name of what is to be built'
    )


def test_wrong_value(capsys):
    found = _building(capsys, type='mmengine.ImgDataPreprocessor', mean=[1, 2], std=[1])
    assert found.startswith(
        'model.parts.1: mmengine.ImgDataPreprocessor: `mean` should have 1 or 3 values'
    )
    # Our own message, which names no key.
    assert _building(capsys, type='s5_mm.ViT', arch='zz').startswith(
        "model.parts.1: arch='zz' is unknown; allowed: ["
    )


def test_batch_size_of_a_loader(capsys):
    def build():
        DataLoader([1, 2], batch_size=-1)

    assert _line(build, capsys) == (
        2,
        'the batch_size of a dataloader is -1, expected at least 1',
    )
    assert _line(lambda: DataLoader([1], num_workers=-1), capsys) == (
        2,
        'the num_workers of a dataloader is negative, expected 0 or more',
    )


def test_one_image_per_process(capsys):
    norm = torch.nn.BatchNorm2d(3)
    status, line = _line(lambda: norm(torch.zeros(1, 3, 1, 1)), capsys)
    assert status == 2
    assert 'found a batch of size torch.Size([1, 3, 1, 1]); take at least 2' in line


def test_a_class_that_the_head_lacks(capsys):
    def loss():
        target = torch.full((1, 2, 2), 7)
        torch.nn.functional.cross_entropy(torch.zeros(1, 5, 2, 2), target)

    status, line = _line(loss, capsys)
    assert status == 2
    assert line.startswith('a mask has the class 7, which the decode head lacks')


@pytest.mark.skipif(torch.cuda.is_available(), reason='there is a GPU')
def test_no_gpu(capsys):
    status, line = _line(lambda: torch.zeros(1).to('cuda'), capsys)
    assert status == 2
    assert line.startswith('there is no GPU that torch can use here')


def test_a_device_that_is_none(capsys):
    status, line = _line(lambda: torch.device('gpu'), capsys)
    assert (status, line) == (2, 'there is no device gpu, expected cpu, cuda or cuda:0')


def test_a_port_that_is_taken(capsys, monkeypatch):
    import socket

    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))
        taken.listen()
        port = taken.getsockname()[1]

        def listen():
            torch.distributed.TCPStore('127.0.0.1', port, 1, is_master=True)

        status, line = _line(listen, capsys)
    assert status == 2
    assert line.startswith('the port of the processes is taken by another run; choose')


@pytest.mark.parametrize(
    ('kind', 'text', 'start', 'refused'),
    [
        ('OutOfMemoryError', 'CUDA out of memory. Tried', 'the memory of the', False),
        ('MemoryError', '', 'the memory of this machine is full', False),
        (
            'RuntimeError',
            'DataLoader worker (pid(s) 4) exited unexpectedly',
            'a worker of the data loader was killed',
            False,
        ),
        ('BrokenProcessPool', 'A process in', 'a process was killed', False),
        (
            'ImportError',
            '/x/mmcv/_ext.cpython-311-x86_64-linux-gnu.so: undefined symbol: _ZN2at',
            'the compiled operators of mmcv do not load (/x/mmcv/_ext.cpython-311',
            True,
        ),
        (
            'ModuleNotFoundError',
            "No module named 'rasterio'",
            "the package 'rasterio' is not installed",
            True,
        ),
        (
            'ValueError',
            'persistent_workers option needs num_workers > 0',
            'the num_workers of a dataloader is 0, where persistent_workers has no',
            True,
        ),
        (
            'URLError',
            '<urlopen error [Errno 111] Connection refused>',
            'the address of a checkpoint cannot be read ([Errno 111] Connection ',
            True,
        ),
        (
            'RuntimeError',
            'CUDA error: invalid device ordinal',
            'this machine has no GPU of that number',
            True,
        ),
    ],
)
def test_known_errors(kind, text, start, refused):
    line, found = known_error(kind, text)
    assert (line.startswith(start), found) == (True, refused)
    assert known_error('ValueError', 'something else') is None


def test_unknown_optimizer(capsys):
    from mmengine.optim import build_optim_wrapper

    def build():
        cfg = dict(type='OptimWrapper', optimizer=dict(type='AdamWW', lr=0.1))
        build_optim_wrapper(torch.nn.Linear(1, 1), Config(cfg)._cfg_dict)

    status, line = _line(build, capsys)
    assert (status, 'AdamW' in line) == (2, True)


def test_log_file_gets_the_traceback_and_the_screen_its_name(tmp_path, capsys):
    file = tmp_path / 'a.log'
    before = MMLogger.get_instance('before', log_file=str(tmp_path / 'other.log'))

    def fail():
        MMLogger.get_instance('refusals', log_file=str(file))
        return 1 / 0

    try:
        status, line = _line(fail, capsys)
        assert status == 1
        assert line == f'ZeroDivisionError: division by zero (traceback: {file})'
        assert ' - the run ended with an error\n' in file.read_text()
        assert '1 / 0' in file.read_text()
        assert (tmp_path / 'other.log').read_text() == ''
    finally:
        for logger in (before, MMLogger.get_instance('refusals')):
            logger.handlers[1].close()
            del MMLogger._instance_dict[logger.instance_name]


def test_a_work_dir_gets_the_traceback_of_a_fault(tmp_path, capsys):
    file = tmp_path / 'error.log'
    for flags in (['--work-dir', str(tmp_path)], [f'--work-dir={tmp_path}']):
        status, line = _line(lambda: 1 / 0, capsys, *flags)
        assert line == f'ZeroDivisionError: division by zero (traceback: {file})'
    assert file.read_text().count('Traceback') == 2
    assert log_traceback(ValueError('x'), ['--work-dir', str(tmp_path / 'no')]) is None
    assert log_traceback(ValueError('x'), ['--work-dir']) is None


def test_the_runner_is_built_from_a_config(tmp_path, capsys):
    cfg = Config(
        dict(
            model=dict(type='s5_mm.ViT', arch='t', img_size=32),
            work_dir=str(tmp_path),
            default_hooks=dict(logger=dict(type='LogerHook')),
        ),
        filename=__file__,
    )
    try:
        status, line = _line(lambda: CommandRunner.from_cfg(cfg), capsys)
    finally:
        MMLogger._instance_dict.clear()
    assert status == 2
    assert line.startswith(
        f"{__file__}: default_hooks.logger: there is no hook of type 'LogerHook'; did "
        "you mean 'LoggerHook'"
    )
