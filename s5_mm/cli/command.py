"""Start a command so that whatever stops it ends in one line.

Nothing but the standard library is imported: the commands that look at an environment
load this file where the package itself cannot be imported.
"""

from __future__ import annotations

import argparse
import inspect
import os
import select
import sys
import traceback
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, NoReturn

#: Exit statuses: something is wrong with the program or the machine; what was asked
#: for cannot be done; Ctrl-C; the reader of a pipe has gone.
FAULT, REFUSED, STOPPED, CLOSED = 1, 2, 130, 141
_TRACEBACK = '--traceback'
_LAUNCHERS = ('RANK', 'SLURM_PROCID', 'OMPI_COMM_WORLD_RANK')


class CommandParser(argparse.ArgumentParser):
    """A parser that keeps the layout of its description and refuses in one line.

    Args:
        description: What ``--help`` says first.
        file: ``__file__`` of the command, which gives it its name.
        **kwargs: Arguments of ``argparse.ArgumentParser``.
    """

    def __init__(self, description: str | None, file: str, **kwargs: Any) -> None:
        super().__init__(
            prog=Path(file).name,
            description=description,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            **kwargs,
        )
        self.add_argument(
            _TRACEBACK, action='store_true', help='print where an error comes from'
        )

    def error(self, message: str) -> NoReturn:
        """End with status 2 and one line, without the usage.

        Args:
            message: What is wrong with the arguments.
        """
        self.exit(
            REFUSED,
            f'{self.prog}: {one_line(message)}; {self.prog} --help lists the '
            'arguments\n',
        )


def one_line(text: object) -> str:
    """Join the lines of a text; a semicolon ends those that have no end of their own.

    Args:
        text: What is written.

    Returns:
        A line, its blanks single.
    """
    joined = ''
    for line in str(text).splitlines():
        line = ' '.join(line.split())
        if joined and line:
            joined += ' ' if joined[-1] in '.,:;' else '; '
        joined += line
    return joined


def run_command(
    main: Callable[[Sequence[str] | None], int | None],
    argv: Sequence[str] | None = None,
) -> int:
    """Run a command and turn what stops it into one line on stderr.

    A refusal, which is what the user can mend, ends with status 2; a fault of the
    program or the machine with 1, and its line has the type of the exception.  Ctrl-C
    gives 130, the text of a ``KeyboardInterrupt`` says how to go on.  ``SystemExit``
    keeps its status; with a text it counts as a fault.

    The traceback goes to the log file of the run, if there is one, or on the screen
    with ``--traceback``.  Of several processes the first one says all, the others say
    who they are and the beginning.

    Args:
        main: The command; takes the arguments, those of the process for None, and
            returns its exit status.
        argv: Arguments, those of the process by default.

    Returns:
        Exit status.
    """
    name = Path(inspect.getfile(main)).name
    arguments = sys.argv[1:] if argv is None else [str(one) for one in argv]
    earlier = _loggers()
    try:
        status = main(argv)
        sys.stdout.flush()
    except KeyboardInterrupt as stop:
        _say(name, '; '.join(['stopped by Ctrl-C', *map(str, stop.args)]))
        return STOPPED
    except BrokenPipeError as error:
        return _after_broken_pipe(name, error, arguments, earlier)
    except SystemExit as stop:
        if stop.code is None or isinstance(stop.code, int):
            return stop.code or 0
        return _report(name, stop, arguments, earlier)
    except Exception as error:
        return _report(name, error, arguments, earlier)
    return status or 0


def start_command(main: Callable[[Sequence[str] | None], int | None]) -> None:
    """Run a command with the arguments of the process and end it if it fails.

    Args:
        main: As of :func:`run_command`.

    Raises:
        SystemExit: With a status other than 0.
    """
    status = run_command(main)
    if status:
        raise SystemExit(status)


def _loggers() -> set[Any]:
    """Loggers of mmengine that are there already, of earlier runs in this process."""
    module = sys.modules.get('mmengine.logging')
    return set(module.MMLogger._instance_dict.values()) if module else set()


def _after_broken_pipe(
    name: str,
    error: BrokenPipeError,
    arguments: Sequence[str],
    earlier: Collection[Any],
) -> int:
    """End silently if it was the reader of our output that has gone (``| head``)."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    if not any(event & select.POLLERR for _, event in poll.poll(0)):
        return _report(name, error, arguments, earlier)
    # The interpreter flushes again when it ends.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return CLOSED


def _report(
    name: str,
    error: BaseException,
    arguments: Sequence[str],
    earlier: Collection[Any],
) -> int:
    """Print the line; the traceback goes where it is asked for."""
    log = None
    try:
        from s5_mm.cli.refusals import explain, log_traceback
    except ImportError:  # the environment that a command is there to mend
        text, refused = one_line(error) or type(error).__name__, False
    else:
        text, refused = explain(error)
        log = log_traceback(error, arguments, earlier)
    if _TRACEBACK in arguments:
        traceback.print_exception(error)
    elif log:
        text = f'{text} (traceback: {log})'
    elif not refused and not isinstance(error, SystemExit):
        text = f'{text} ({_TRACEBACK} shows where)'
    _say(name, text)
    return REFUSED if refused else FAULT


def _say(name: str, text: str) -> None:
    """Print the line of this process."""
    rank = next((os.environ[key] for key in _LAUNCHERS if key in os.environ), '0')
    if rank != '0':
        name, text = f'{name}, process {rank}', text[:100]
    if sys.stderr.isatty():
        sys.stderr.write('\r\033[K')  # over a line of progress
    sys.stderr.write(f'{name}: {text}\n')
    sys.stderr.flush()
