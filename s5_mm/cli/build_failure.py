"""Errors that occur while an object is built from a config."""

from __future__ import annotations

import difflib
import inspect
import re
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

from mmengine.config import Config
from mmengine.registry import Registry

from .failure import Failure, frames_of
from .reading import SETTINGS

_IMPORTS = '; if it is your own, name its module in custom_imports'


def building_error(error: BaseException, found: Failure) -> str | None:
    """Describe an error that occurs while an object is built from a config.

    Args:
        error: The exception.
        found: What is known of it.

    Returns:
        The line, with the key of the object; None if nothing was being built.
    """
    frames = [frame for frame, _ in frames_of(error.__traceback__)]
    config, frame, key = _built(frames)
    if frame is not None:
        where = 'config'
        if config is not None and key:
            where = f'{config.filename}: {key}'
        return f'{where}: {_why(found, frame)}'
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


def with_key(error: BaseException, text: str) -> str:
    """Put the key of what was being built before a message that names none.

    Args:
        error: The exception.
        text: Its message.

    Returns:
        The line.
    """
    config, _, key = _built([frame for frame, _ in frames_of(error.__traceback__)])
    if config is None or key is None:
        return text
    if re.search(rf'\b({"|".join(map(re.escape, config))})\.', text):
        return text
    return f'{config.filename}: {key}: {text}'


def _built(
    frames: Sequence[FrameType],
) -> tuple[Config | None, FrameType | None, str | None]:
    """Find the config, the frame that builds the innermost object, and its key."""
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
    if not built or config is None:
        return config, built[-1] if built else None, None
    # Not where a variable of the config holds the same.
    tree = {key: value for key, value in config.items() if key in SETTINGS}
    node = built[-1].f_locals.get('cfg')
    return config, built[-1], _key_of(node, tree, _is) or _key_of(node, tree, _is_part)


def _why(found: Failure, frame: FrameType) -> str:
    """Say why an object could not be built."""
    # The arguments of mmengine's `build_from_cfg`.
    node, registry = frame.f_locals['cfg'], frame.f_locals['registry']
    if found.kind == 'KeyError' and 'must contain the key "type"' in found.text:
        return 'it has no type, expected the name of what is to be built'
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


def _text(found: Failure) -> str:
    """Message of a host, with the kind where the message alone says too little."""
    if found.kind == 'AssertionError' and not found.text:
        return f'expected {found.line.removeprefix("assert ")}'
    if found.kind == 'KeyError':
        return found.text if ' ' in found.text else f'the key {found.text} is missing'
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
    """Names of the arguments of a class or function, [] if unknown.

    A class that takes ``**kwargs`` hands them to the next of its bases.
    """
    makers = (
        [
            vars(base)['__init__']
            for base in function.__mro__
            if '__init__' in vars(base)
        ]
        if isinstance(function, type)
        else [function]
    )
    names: dict[str, None] = {}
    for maker in makers:
        try:
            parameters = inspect.signature(maker).parameters.values()
        except (TypeError, ValueError):
            break
        variable = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD
        names.update({p.name: None for p in parameters if p.kind not in variable})
        if all(p.kind != inspect.Parameter.VAR_KEYWORD for p in parameters):
            break
    names.pop('self', None)
    return list(names)


def _is(child: Any, node: Any) -> bool:
    """Whether a part of a config is exactly what is built."""
    return isinstance(child, dict) and isinstance(node, dict) and child == node


def _is_part(child: Any, node: Any) -> bool:
    """Whether a part of a config is what is built; its builder may add to it."""
    return (
        isinstance(child, dict)
        and isinstance(node, dict)
        and bool(child)
        and ('type' in child) == ('type' in node)
        and all(key in node and node[key] == value for key, value in child.items())
    )


def _key_of(
    node: Any, tree: Any, fits: Callable[[Any, Any], bool], key: str = ''
) -> str | None:
    """Dotted key of the first part of a config that something is built from."""
    if isinstance(tree, dict):
        children: Any = tree.items()
    elif isinstance(tree, (list, tuple)):
        children = enumerate(tree)
    else:
        return None
    for name, child in children:
        below = f'{key}.{name}' if key else str(name)
        if fits(child, node):
            return below
        found = _key_of(node, child, fits, below)
        if found:
            return found
    return None
