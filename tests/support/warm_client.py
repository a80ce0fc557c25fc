"""Hands a command line to the fork server of :mod:`.warm_python`, and waits.

Signals go on to the forked process, its exit status comes back, and when this process
is killed the other one is.  Nothing but the standard library is imported: every command
of a test pays for this start.
"""

from __future__ import annotations

import array
import contextlib
import json
import os
import signal
import socket
import sys

_FORWARDED = (
    *(signal.SIGHUP, signal.SIGINT, signal.SIGQUIT),
    *(signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2),
)


def split(arguments: list[str]) -> tuple[list[str], list[str]] | None:
    """Take the arguments of Python apart.

    Args:
        arguments: What follows the program.

    Returns:
        Filters of ``-W``, and what runs with its arguments, led by ``-m``, ``-c`` or a
        script; None where an option is one that a running interpreter cannot take.
    """
    filters, rest = [], list(arguments)
    while rest:
        if rest[0] == '-W' and rest[1:]:
            filters.append(rest[1])
            rest = rest[2:]
        elif rest[0] == '-u':
            rest = rest[1:]
        elif rest[0] in ('-m', '-c'):
            return (filters, rest) if rest[1:] else None
        else:
            return None if rest[0].startswith('-') else (filters, rest)
    return None


def main() -> None:
    """Run the command line that follows the interpreter and the server's address."""
    python, address, *arguments = sys.argv[1:]
    parts = split(arguments)
    if parts is None:
        os.execv(python, [python, *arguments])
    signal.pthread_sigmask(signal.SIG_BLOCK, _FORWARDED)
    request = dict(
        filters=parts[0],
        command=parts[1],
        unbuffered='-u' in arguments[: len(arguments) - len(parts[1])],
        folder=os.getcwd(),
        environment=dict(os.environ),
        ignored=[n for n in _FORWARDED if signal.getsignal(n) == signal.SIG_IGN],
    )
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(address)
        files = array.array('i', (0, 1, 2)).tobytes()
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, files)
        server.sendmsg([b'.'], [rights])
        server.sendall(json.dumps(request).encode() + b'\n')
        answers = server.makefile('r')
        pid = int(answers.readline() or 0)
        if not pid:
            sys.exit(f'{address}: the fork server is gone, see log beside it')

        def forward(number: int, _: object) -> None:
            with contextlib.suppress(ProcessLookupError):  # it has just ended
                os.kill(pid, number)

        for number in _FORWARDED:
            if number not in request['ignored']:
                signal.signal(number, forward)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _FORWARDED)
        status = int(answers.readline() or signal.SIGKILL)
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(os.waitstatus_to_exitcode(status))


if __name__ == '__main__':
    main()
