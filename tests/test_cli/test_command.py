"""One line, one status, whatever stops a command."""

import argparse
import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from s5_mm.checkpoints.errors import CheckpointError
from s5_mm.cli.command import CommandParser, one_line, run_command, start_command
from s5_mm.ops import OpsMissingError

ROOT = Path(__file__).parents[2]
NAME = Path(__file__).name


def _stopped_by(error, capsys, *arguments):
    def main(argv):
        raise error

    status = run_command(main, arguments)
    out, text = capsys.readouterr()
    assert out == ''
    return status, text


def test_nothing_is_said_of_what_works(capsys):
    assert run_command(lambda argv: None, []) == 0
    assert run_command(lambda argv: 3, []) == 3
    start_command(lambda argv: None)
    with pytest.raises(SystemExit) as stop:
        start_command(lambda argv: 75)
    assert stop.value.code == 75
    assert capsys.readouterr() == ('', '')


@pytest.mark.parametrize('status', [None, 0, 75])
def test_a_status_stays(capsys, status):
    assert _stopped_by(SystemExit(status), capsys) == (status or 0, '')


def test_ctrl_c(capsys):
    line = f'{NAME}: stopped by Ctrl-C\n'
    assert _stopped_by(KeyboardInterrupt(), capsys) == (130, line)
    line = f'{NAME}: stopped by Ctrl-C; the same command goes on\n'
    found = _stopped_by(KeyboardInterrupt('the same command goes on'), capsys)
    assert found == (130, line)


def test_a_text_of_several_lines_is_a_fault_in_one(capsys):
    found = _stopped_by(SystemExit('one\n   two\n'), capsys)
    assert found == (1, f'{NAME}: one; two\n')


def test_a_fault_names_its_kind_and_the_way_to_more(capsys):
    status, text = _stopped_by(TypeError('1 + None\nis nothing'), capsys)
    assert status == 1
    assert text == (
        f'{NAME}: TypeError: 1 + None; is nothing (--traceback shows where)\n'
    )
    status, text = _stopped_by(TypeError('of numbers'), capsys, '--traceback')
    assert status == 1
    assert text.startswith('Traceback (most recent call last):\n')
    assert text.endswith(f'{NAME}: TypeError: of numbers\n')
    # A key without a text is a fault, and no message.
    assert _stopped_by(KeyError('size'), capsys)[1].startswith(
        f"{NAME}: KeyError: 'size' ("
    )


def test_the_operating_system_refuses(capsys, tmp_path):
    for name, text in (
        ('none.txt', 'No such file or directory'),
        ('.', 'Is a directory'),
    ):
        path = tmp_path / name

        def main(argv, path=path):
            path.read_text()

        assert run_command(main, []) == 2
        assert capsys.readouterr().err == f'{NAME}: {path}: {text}\n'
    full = OSError(28, 'No space left on device', 'a.pth')
    status, text = _stopped_by(full, capsys)
    assert (status, text.startswith(f'{NAME}: a.pth: No space left on')) == (1, True)


@pytest.mark.parametrize(
    ('kind', 'text'),
    [
        (CheckpointError, 'a.pth: no checkpoint'),
        (KeyError, 'no setting x'),
        (OpsMissingError, 'make ops'),
        (RuntimeError, 'set MASTER_ADDR'),
    ],
)
def test_what_the_package_raises_is_a_refusal(capsys, monkeypatch, kind, text):
    # A file of the package whose line raises.
    from s5_mm.cli import failure

    monkeypatch.setattr(failure, '_OWN', (f'{Path(__file__).parent}/',))

    def main(argv):
        raise kind(text)

    assert run_command(main, []) == 2
    assert capsys.readouterr().err == f'{NAME}: {text}\n'


def _read_nothing(path):
    from s5_mm.io.images.read import read_image

    return read_image(path)


def test_what_the_package_raises_in_another_process(capsys, tmp_path):
    (tmp_path / 'a.png').write_bytes(b'no picture')

    def main(argv):
        with ProcessPoolExecutor(1) as pool:
            pool.submit(_read_nothing, str(tmp_path / 'a.png')).result()

    assert run_command(main, []) == 2
    error = capsys.readouterr().err
    assert error.startswith(f'{NAME}: {tmp_path}/a.png: ')
    assert error.count('\n') == 1


class _Broken:
    def __init__(self, path):
        self.path = path

    def __len__(self):
        return 1

    def __getitem__(self, index):
        return _read_nothing(self.path)


def test_what_the_package_raises_in_a_worker_of_a_loader(capsys, tmp_path):
    from torch.utils.data import DataLoader

    (tmp_path / 'a.png').write_bytes(b'no picture')
    loader = DataLoader(_Broken(str(tmp_path / 'a.png')), num_workers=1)
    assert run_command(lambda argv: list(loader) and None, []) == 2
    error = capsys.readouterr().err
    assert error.startswith(f'{NAME}: {tmp_path}/a.png: ')
    assert error.count('\n') == 1


def test_other_processes_say_who_they_are(capsys, monkeypatch):
    monkeypatch.setenv('RANK', '3')
    status, text = _stopped_by(SystemExit('x' * 200), capsys)
    assert (status, text) == (1, f'{NAME}, process 3: {"x" * 100}\n')


def test_a_reader_that_goes_is_no_error(tmp_path):
    script = tmp_path / 'talk.py'
    script.write_text(
        'from s5_mm.cli.command import start_command\n'
        'def main(argv):\n'
        '    for number in range(100000):\n'
        "        print('line', number)\n"
        'start_command(main)\n'
    )
    read, write = os.pipe()
    child = subprocess.Popen(
        [sys.executable, script],
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, 'PYTHONPATH': str(ROOT)},
    )
    os.close(write)
    assert os.read(read, 4) == b'line'
    os.close(read)
    assert child.communicate(timeout=100)[1] == ''
    assert child.returncode == 141


def test_parser(capsys):
    parser = CommandParser('What it\n  does.', '/a/b/tool.py')
    parser.add_argument('--size', type=int)
    assert parser.parse_args([]) == argparse.Namespace(size=None, traceback=False)
    with pytest.raises(SystemExit) as stop:
        parser.parse_args(['--size', 'x'])
    assert stop.value.code == 2
    assert capsys.readouterr().err == (
        "tool.py: argument --size: invalid int value: 'x'; tool.py --help lists the "
        'arguments\n'
    )
    assert 'What it\n  does.' in parser.format_help()
    assert one_line(' a:\n\n b  c \nd.') == 'a: b c; d.'
