"""Forked processes of the tests end, fail and are killed as those of Python are."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ..support.signals import listen_to_ctrl_c
from ..support.warm_python import warm_python


def _both(*arguments: str, **options) -> tuple[subprocess.CompletedProcess, ...]:
    """Run what both can do, in a new interpreter and in a forked one."""
    options = dict(capture_output=True, text=True, timeout=300, **options)
    return tuple(
        subprocess.run([program, *arguments], **options)
        for program in (sys.executable, warm_python())
    )


STATE = """
import json, os, sys
json.dump([sys.argv, sys.path, os.getcwd(), sorted(os.environ.items()), __name__,
           sys.warnoptions, sys.stdin.read()], sys.stdout)
"""


@pytest.mark.parametrize('way', ['script', 'code', 'module'])
def test_the_state_of_a_command_is_that_of_a_new_interpreter(
    tmp_path: Path, way: str
) -> None:
    (tmp_path / 'it s.py').write_text(STATE)
    (tmp_path / 'state.py').write_text(STATE)
    words = {
        'script': [str(tmp_path / 'it s.py')],
        'code': ['-c', STATE],
        'module': ['-m', 'state'],
    }
    environment = {'PATH': os.environ['PATH'], 'A': 'b c', 'PYTHONPATH': '/none:/here'}
    done = _both(
        *('-W', 'ignore', *words[way], '--flag', 'a "b"'),
        cwd=tmp_path,
        env=environment,
        input='typed',
    )
    new, forked = (json.loads(one.stdout) for one in done)
    shells = {'_', 'PWD', 'OLDPWD', 'SHLVL', 'LC_CTYPE'}
    for state in (new, forked):
        state[3] = [pair for pair in state[3] if pair[0] not in shells]
    assert forked == new


@pytest.mark.parametrize(
    'code',
    [
        'pass',
        'import sys; sys.exit(3)',
        'raise SystemExit("a word")',
        'raise ValueError("a fault")',
        'import os; os._exit(4)',
        'import os; os.kill(os.getpid(), 15)',
        'import os; os.kill(os.getpid(), 9)',
        'import os; os.abort()',
        'raise KeyboardInterrupt',
        'import atexit; atexit.register(print, "last")',
    ],
)
def test_ends_are_those_of_a_new_interpreter(code: str) -> None:
    new, forked = _both('-c', code)
    assert forked.returncode == new.returncode
    assert forked.stdout == new.stdout
    assert forked.stderr.splitlines()[-1:] == new.stderr.splitlines()[-1:]


def test_what_it_cannot_do_a_new_interpreter_does() -> None:
    new, forked = _both('-I', '-c', 'import sys; print(sys.flags.isolated, sys.path)')
    assert forked.stdout == new.stdout
    assert forked.stdout.startswith('1 ')


WAIT = """
import os, signal, sys, time
def stop(number, frame):
    print('got', number, flush=True)
    sys.exit(7)
signal.signal(signal.SIGTERM, stop)
print(os.getpid(), flush=True)
time.sleep(60)
"""


def _start(code: str) -> tuple[subprocess.Popen, int]:
    process = subprocess.Popen(
        [warm_python(), '-c', code],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
        preexec_fn=listen_to_ctrl_c,
    )
    return process, int(process.stdout.readline())


def _is_gone(pid: int) -> bool:
    end = time.monotonic() + 30
    while Path(f'/proc/{pid}').exists():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def test_signals_arrive() -> None:
    process, _ = _start(WAIT)
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=30)[0] == 'got 15\n'
    assert process.returncode == 7
    process, pid = _start(WAIT)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == -signal.SIGINT
    assert _is_gone(pid)


@pytest.mark.parametrize('kill', [os.kill, os.killpg])
def test_the_process_dies_with_what_was_started(kill) -> None:
    process, pid = _start(WAIT)
    assert pid != process.pid
    kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)
    assert process.returncode == -signal.SIGKILL
    assert _is_gone(pid)


def test_what_it_starts_is_forked_too() -> None:
    code = 'import sys; print("torch" in sys.modules, sys.executable)'
    nested = f'import subprocess, sys; subprocess.run([sys.executable, "-c", {code!r}])'
    new, forked = _both('-c', nested)
    assert new.stdout == f'False {sys.executable}\n'
    assert forked.stdout == f'True {warm_python()}\n'
