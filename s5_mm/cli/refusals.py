"""Say in one line what stopped a command, and whether the user can mend it."""

from __future__ import annotations

import difflib
import errno
import inspect
import linecache
import logging
import os
import re
import sys
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, NamedTuple

from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import Registry

from .command import one_line
from .known_errors import known_error

_PACKAGE = Path(__file__).resolve().parents[1]
_OWN = tuple(
    f'{folder}{os.sep}'
    for folder in (
        _PACKAGE,
        *(_PACKAGE.parent / part for part in ('tools', 'data_curation')),
    )
)
#: Of an operating system's errors those that no other argument would avoid.
_MACHINE = {errno.ENOSPC, errno.EIO, errno.ENOMEM, errno.EMFILE, errno.EDQUOT}
_CODE_LINE = re.compile(r'^ *File "([^"]+)", line \d+, in .*\n(?: +(.*))?', re.M)


class Failure(NamedTuple):
    """An exception, as it was where it was raised.

    Attributes:
        kind: Name of its class.
        text: Its message, in one line.
        file: Source file that raised it, '' if unknown.
        line: Line of that file.
    """

    kind: str
    text: str
    file: str
    line: str

    @property
    def deliberate(self) -> bool:
        """Whether a ``raise`` of this package wrote the message."""
        return self.file.startswith(_OWN) and self.line.startswith('raise')


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
    if isinstance(error, SystemExit) or found.deliberate:
        return found.text or found.kind, not isinstance(error, SystemExit)
    known = known_error(found.kind, found.text)
    if known is not None:
        return known
    if isinstance(error, OSError) and error.filename is not None:
        name = os.fsdecode(error.filename) if _is_path(error) else error.filename
        return f'{name}: {error.strerror}', error.errno not in _MACHINE
    building = _building(error, found)
    if building is not None:
        return building, True
    return f'{found.kind}: {found.text}' if found.text else found.kind, False


def failure(error: BaseException) -> Failure:
    """Find where an exception was raised first, in a worker process for example.

    Args:
        error: The exception.

    Returns:
        What is known of it.
    """
    remote = getattr(error.__cause__, 'tb', None)  # of a process pool
    text = _message(error)
    if isinstance(remote, str):
        return Failure(type(error).__name__, one_line(text), *_last_line(remote))
    worker = re.match(r'Caught (\w+) in .*\nOriginal Traceback', text)
    if worker:  # of a data loader
        kind = worker.group(1)
        starts = list(re.finditer(rf'^(?:\w+\.)*{kind}(?:: |$)', text, re.M))
        message = text[starts[-1].end() :] if starts else ''
        if kind == 'KeyError':
            message = message.strip('\'"')
        return Failure(kind, one_line(message), *_last_line(text))
    frames = list(_frames(error.__traceback__))
    if not frames:
        return Failure(type(error).__name__, one_line(text), '', '')
    frame, line = frames[-1]
    file = frame.f_code.co_filename
    return Failure(
        type(error).__name__,
        one_line(text),
        os.path.realpath(file),
        linecache.getline(file, line).strip(),
    )


def log_traceback(error: BaseException, arguments: Sequence[str]) -> str | None:
    """Write where an exception comes from into the log file of the run.

    Args:
        error: The exception.
        arguments: Command line; without a log file a fault is written into
            ``error.log`` of the ``--work-dir``, if that exists.

    Returns:
        The file, None if there is none.
    """
    for logger in MMLogger._instance_dict.values():
        for handler in logger.handlers:
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


def _message(error: BaseException) -> str:
    """Message of an exception; a ``KeyError`` puts its own into quotes."""
    if isinstance(error, KeyError) and len(error.args) == 1:
        key = error.args[0]
        return key if isinstance(key, str) and ' ' in key else repr(key)
    return str(error)


def _is_path(error: OSError) -> bool:
    """Whether the error names a file by a path."""
    return isinstance(error.filename, (str, bytes, os.PathLike))


def _last_line(text: str) -> tuple[str, str]:
    """File and source line of the last entry of a traceback."""
    found = _CODE_LINE.findall(text)
    return (os.path.realpath(found[-1][0]), found[-1][1].strip()) if found else ('', '')


def _frames(trace: TracebackType | None) -> Iterator[tuple[FrameType, int]]:
    """Frames of a traceback and their lines, the outermost first."""
    while trace is not None:
        yield trace.tb_frame, trace.tb_lineno
        trace = trace.tb_next


def _building(error: BaseException, found: Failure) -> str | None:
    """Describe an error that occurs while an object is built from a config.

    Returns:
        The line, None if nothing was being built.
    """
    frames = [frame for frame, _ in _frames(error.__traceback__)]
    config = next(
        (
            value
            for frame in frames
            for value in frame.f_locals.values()
            if isinstance(value, Config)
        ),
        None,
    )
    built = [frame for frame in frames if frame.f_code.co_name == 'build_from_cfg']
    if built:
        node, registry = (built[-1].f_locals.get(key) for key in ('cfg', 'registry'))
        key = _key_of(node, config._cfg_dict) if config is not None else None
        where = f'{config.filename}: {key}' if key else 'config'
        return f'{where}: {_why(found, node, registry, built[-1])}'
    names = {
        frame.f_code.co_name
        for frame in frames
        if 'mmengine' in frame.f_code.co_filename
    }
    if config is None or not any(
        name.startswith(('build_', 'from_')) for name in names
    ):
        return None
    where = f'{config.filename}: ' if config.filename else ''
    return f'{where}{_text(found)}'


def _why(found: Failure, node: Any, registry: Any, frame: FrameType) -> str:
    """Say why an object could not be built."""
    kind = node.get('type') if isinstance(node, dict) else None
    kind = kind if isinstance(kind, str) else getattr(kind, '__name__', 'object')
    if found.kind == 'KeyError' and 'registry. Please check' in found.text:
        near = difflib.get_close_matches(kind, sorted(_names(registry)), 3, 0.6)
        hint = f'; did you mean {" or ".join(map(repr, near))}?' if near else ''
        return f'there is no {registry.name} of type {kind!r}{hint or _IMPORTS}'
    extra = re.search(r"got an unexpected keyword argument '(\w+)'", found.text)
    if found.kind == 'TypeError' and extra:
        allowed = _arguments(frame.f_locals.get('obj_cls'))
        near = difflib.get_close_matches(extra.group(1), allowed, 1)
        hint = f', did you mean {near[0]!r}?' if near else f'; it takes {allowed}'
        return f'{kind} takes no argument {extra.group(1)!r}{hint}'
    return f'{kind}: {_text(found)}'


_IMPORTS = '; if it is your own, name its module in custom_imports'


def _text(found: Failure) -> str:
    """Message of a host, with the kind where the message alone says too little."""
    if found.kind == 'AssertionError' and not found.text:
        return f'expected {found.line.removeprefix("assert ")}'
    if found.kind == 'KeyError':
        return f'the key {found.text} is missing' if "'" in found.text else found.text
    if found.kind in ('ValueError', 'AssertionError'):
        return found.text
    return f'{found.kind}: {found.text}'


def _names(registry: Registry) -> set[str]:
    """Names that a config may give to a registry."""
    names = set(registry.module_dict)
    for child in registry.children.values():
        late = {
            name
            for location in child._locations
            for name in getattr(sys.modules.get(location), 'LATE', {})
        }
        names |= {f'{child.scope}.{name}' for name in {*child.module_dict, *late}}
    return names | (_names(registry.parent) if registry.parent else set())


def _arguments(function: Any) -> list[str]:
    """Names of the arguments of a class or function, [] if unknown."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return []
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [one.name for one in parameters if one.kind not in variable]


def _key_of(node: Any, tree: Any, key: str = '') -> str | None:
    """Dotted key of the first part of a config that equals another one."""
    if isinstance(tree, dict):
        children: Any = tree.items()
    elif isinstance(tree, (list, tuple)):
        children = enumerate(tree)
    else:
        return None
    for name, child in children:
        below = f'{key}.{name}' if key else str(name)
        if isinstance(child, dict) and isinstance(node, dict) and child == node:
            return below
        found = _key_of(node, child, below)
        if found:
            return found
    return None
