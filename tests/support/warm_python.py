"""A Python whose imports are done: commands as processes without seconds of a start.

Importing torch and mmseg takes five seconds of CPU time, what a test trains takes one.
:func:`warm_python` names a program that takes the place of ``sys.executable``: it hands
its arguments, folder, variables and open files to a server, which forks a process that
runs them.  So does what that process starts with its own ``sys.executable``.

Exit statuses, signals and the death of a process are those of Python itself.  What is
not: the hash seed is the same in all processes, modules of :data:`PRELOAD` are loaded
without being asked for, and nothing is freed at the end.  So train.py, test.py, their
launcher, s4_lab.py and demo.py are tested with a new interpreter too.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import random
import runpy
import selectors
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import types
import warnings
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parents[2]
#: What building a runner imports.
PRELOAD = (
    'torchvision',
    's5_mm.cli.runner',
    's5_mm.models',
    's5_mm.models.segmentors.encoder_decoder',
    's5_mm.models.backbones.timm_backbone',
    's5_mm.datasets',
    's5_mm.engine.hooks',
    's5_mm.engine.loops',
    's5_mm.engine.optimizers',
    's5_mm.evaluation',
    's5_mm.visualization',
    'multiprocessing.spawn',  # remembers the real interpreter
    'torch.distributed.run',
)


@cache
def warm_python() -> str:
    """Start the server of this process, at its first call.

    Returns:
        Path of the program.
    """
    folder = Path(tempfile.mkdtemp(prefix='warm-python-'))
    program, address, log = folder / 'python', folder / 'socket', folder / 'log'
    client = Path(__file__).with_name('warm_client.py')
    words = shlex.join(map(str, ('exec', sys.executable, '-SE', client)))
    words += f' {shlex.join([sys.executable, str(address)])} "$@"'
    program.write_text(f'#!/bin/sh\n{words}\n')
    program.chmod(0o755)
    with socket.socket(socket.AF_UNIX) as listener, log.open('w') as file:
        listener.bind(str(address))
        listener.listen(64)
        process = subprocess.Popen(
            [sys.executable, __file__, str(listener.fileno()), str(program)],
            cwd=ROOT,
            env={
                **os.environ,
                'OMP_NUM_THREADS': '1',
                # Asking whether there is a GPU must not keep the children from it.
                'PYTORCH_NVML_BASED_CUDA_CHECK': '1',
            },
            stdin=subprocess.PIPE,  # it ends when this process does
            stdout=file,
            stderr=file,
            pass_fds=[listener.fileno()],
        )
    atexit.register(_stop, process, os.getpid())
    return str(program)


def _stop(process: subprocess.Popen, owner: int) -> None:
    """End the server, unless this is a process forked from its owner."""
    if os.getpid() == owner:
        process.stdin.close()
        process.wait()


class _Server:
    """Forks a process for each connection.

    Args:
        listener: Where the clients connect.
    """

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._clients: dict[int, socket.socket] = {}
        self._ears = selectors.DefaultSelector()
        self._woken, self._alarm = socket.socketpair()
        for own in (self._woken, self._alarm):
            own.setblocking(False)
        for source in (sys.stdin, listener, self._woken):
            self._ears.register(source, selectors.EVENT_READ)
        signal.set_wakeup_fd(self._alarm.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def serve(self) -> dict[str, Any] | None:
        """Fork until the owner is gone.

        Returns:
            The request, in the process that is to run it; None at the end.
        """
        while True:
            for key, _ in self._ears.select():
                source = key.fileobj
                if source is sys.stdin:
                    for pid in self._clients:
                        _kill_group(pid)
                    return None
                if source is self._woken:
                    self._reap()
                elif source is self._listener:
                    if (request := self._fork()) is not None:
                        return request
                elif key.data in self._clients:  # else it ended just now
                    self._forget(key.data)

    def _fork(self) -> dict[str, Any] | None:
        """Fork; returns the request in the child, None in the server."""
        client, _ = self._listener.accept()
        _, files, *_ = socket.recv_fds(client, 1, 3)
        with client.makefile('r') as stream:
            line = stream.readline()
        if not line:  # killed before it said what it wants
            client.close()
        else:
            pid = os.fork()
            if not pid:
                self._become(files)
                client.close()
                return json.loads(line)
            with contextlib.suppress(OSError):  # the child may have done so
                os.setpgid(pid, pid)
            self._clients[pid] = client
            self._ears.register(client, selectors.EVENT_READ, pid)
            with contextlib.suppress(BrokenPipeError):
                client.sendall(f'{pid}\n'.encode())
        for number in files:
            os.close(number)
        return None

    def _become(self, files: list[int]) -> None:
        """Leave what is the server's: its signals, sockets, files and group."""
        os.setpgid(0, 0)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self._ears.close()
        for own in (self._listener, self._woken, self._alarm, *self._clients.values()):
            own.close()
        for number, file in enumerate(files):
            os.dup2(file, number)
            os.close(file)

    def _reap(self) -> None:
        """Tell the clients of processes that have ended how they did."""
        with contextlib.suppress(BlockingIOError):
            while self._woken.recv(4096):
                pass
        with contextlib.suppress(ChildProcessError):
            while (found := os.waitpid(-1, os.WNOHANG)) != (0, 0):
                pid, status = found
                client = self._clients.pop(pid, None)
                if client is not None:
                    self._ears.unregister(client)
                    with contextlib.suppress(OSError):
                        client.sendall(f'{status}\n'.encode())
                    client.close()

    def _forget(self, pid: int) -> None:
        """Kill the process of a client that was killed."""
        client = self._clients.pop(pid)
        self._ears.unregister(client)
        client.close()
        _kill_group(pid)


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def _set_up(request: dict[str, Any], paths: list[str], program: str) -> None:
    """Make this process what a new interpreter would be.

    Args:
        request: What the client sent.
        paths: Where an interpreter without variables looks for modules.
        program: Its ``sys.executable``.
    """
    import numpy as np
    import torch

    for number in request['ignored']:
        signal.signal(number, signal.SIG_IGN)
    os.chdir(request['folder'])
    environment = request['environment']
    os.environ.clear()
    os.environ.update(environment)
    sys.executable = program
    first = request['command'][0]
    if first in ('-m', '-c'):
        home = os.getcwd() if first == '-m' else ''
        sys.argv = [first, *request['command'][2:]]
    else:
        home, sys.argv = str(Path(first).resolve().parent), request['command']
    more = environment.get('PYTHONPATH', '').split(os.pathsep)
    sys.path[:] = [home, *filter(None, more), *paths]
    importlib.invalidate_caches()
    sys.warnoptions += request['filters']
    for text in request['filters']:
        warnings.simplefilter(text)
    unbuffered = request['unbuffered'] or bool(environment.get('PYTHONUNBUFFERED'))
    sys.stdout.reconfigure(line_buffering=unbuffered or os.isatty(1))
    torch.set_num_threads(int(environment.get('OMP_NUM_THREADS') or os.cpu_count()))
    random.seed()
    np.random.seed()


def _run(command: list[str]) -> None:
    """Run a script, ``-m module`` or ``-c code`` as the main module."""
    first, *rest = command
    if first == '-m':
        runpy.run_module(rest[0], run_name='__main__', alter_sys=True)
    elif first == '-c':
        main = sys.modules['__main__'] = types.ModuleType('__main__')
        exec(compile(rest[0], '<string>', 'exec'), main.__dict__)
    else:
        runpy.run_path(first, run_name='__main__')


def _end(command: list[str]) -> NoReturn:
    """Run a command, and end as Python does, but without freeing a million objects."""
    status, interrupted = 0, False
    try:
        _run(command)
    except SystemExit as stop:
        status = stop.code or 0
        if not isinstance(status, int):
            print(status, file=sys.stderr)
            status = 1
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)
        status, interrupted = 1, isinstance(error, KeyboardInterrupt)
    threading._shutdown()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(BrokenPipeError):
            stream.flush()
    if interrupted:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    os._exit(status & 0xFF)


if __name__ == '__main__':
    number, executable = sys.argv[1:]
    more = os.environ.get('PYTHONPATH', '').split(os.pathsep)
    plain = [path for path in sys.path[1:] if path not in more]
    sys.path[0] = str(ROOT)
    for name in PRELOAD:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    asked = _Server(socket.socket(fileno=int(number))).serve()
    if asked is None:
        shutil.rmtree(Path(executable).parent)
    else:
        _set_up(asked, plain, executable)
        _end(asked['command'])
