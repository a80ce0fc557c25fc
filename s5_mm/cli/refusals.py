"""Say in one line what stopped a command, and whether the user can mend it."""

from __future__ import annotations

import errno
import logging
import os
import traceback
from collections.abc import Collection, Sequence

from mmengine.logging import MMLogger

from .build_failure import building_error, with_key
from .failure import failure
from .known_errors import known_error

#: Of an operating system's errors those that no other argument would avoid.
_MACHINE = {errno.ENOSPC, errno.EIO, errno.ENOMEM, errno.EMFILE, errno.EDQUOT}


def explain(error: BaseException) -> tuple[str, bool]:
    """Describe what stopped a command.

    What this package raises on purpose is its own description.  Errors of the hosts
    that wrong input provokes are translated, those that occur while an object is built
    from a config name the key.

    Args:
        error: The exception.

    Returns:
        One line, and whether it is a refusal: the user can mend it.
    """
    found = failure(error)
    if isinstance(error, SystemExit):
        return found.text, False
    if found.deliberate:
        return with_key(error, found.text or found.kind), True
    known = known_error(found.kind, found.text)
    if known is not None:
        return known
    if isinstance(error, OSError) and error.filename is not None:
        name = os.fsdecode(error.filename) if _is_path(error) else error.filename
        return f'{name}: {error.strerror}', error.errno not in _MACHINE
    building = building_error(error, found)
    if building is not None:
        return building, True
    return f'{found.kind}: {found.text}' if found.text else found.kind, False


def log_traceback(
    error: BaseException,
    arguments: Sequence[str],
    earlier: Collection[MMLogger] = (),
) -> str | None:
    """Write where an exception comes from into the log file of the run.

    Args:
        error: The exception.
        arguments: Command line; without a log file a fault is written into
            ``error.log`` of the ``--work-dir``, if that exists.
        earlier: Loggers of other runs, whose files are not this run's.

    Returns:
        The file, None if there is none.
    """
    for logger in MMLogger._instance_dict.values():
        for handler in () if logger in earlier else logger.handlers:
            if isinstance(handler, logging.FileHandler):
                record = logger.makeRecord(
                    logger.name,
                    logging.ERROR,
                    __file__,
                    0,
                    'the run ended with an error',
                    (),
                    (type(error), error, error.__traceback__),
                )
                handler.handle(record)
                return handler.baseFilename
    folder = _value(arguments, '--work-dir')
    if folder is None or not os.path.isdir(folder) or failure(error).deliberate:
        return None
    path = os.path.join(folder, 'error.log')
    try:
        with open(path, 'a', encoding='utf-8') as file:
            traceback.print_exception(error, file=file)
    except OSError:
        return None
    return path


def _value(arguments: Sequence[str], flag: str) -> str | None:
    """Read the value of an option of the command line."""
    for number, argument in enumerate(arguments):
        if argument.startswith(f'{flag}='):
            return argument.partition('=')[2]
        if argument == flag and number + 1 < len(arguments):
            return arguments[number + 1]
    return None


def _is_path(error: OSError) -> bool:
    """Whether the error names a file by a path."""
    return isinstance(error.filename, (str, bytes, os.PathLike))
