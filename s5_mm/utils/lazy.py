"""Packages that import a part when one of its names is asked for (PEP 562)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any


def lazy_exports(
    package: str, rooms: Mapping[str, Sequence[str]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]], dict[str, str]]:
    """Make the ``__getattr__`` and ``__dir__`` of a package with late parts.

    Segmentation must run without mmdet and mmrotate, and detection without mmseg, so
    a package imports what both need, and what only one of them needs when it is asked
    for::

        __getattr__, __dir__, LATE = lazy_exports(
            __name__, {'segmentors': ['FixMatch'], 'detectors': ['TwoStage']}
        )

    Args:
        package: ``__name__`` of the package.
        rooms: Module of the package, relative to it -> public names that it defines.

    Returns:
        ``__getattr__``, ``__dir__``, and the full module of each name, which
        :mod:`s5_mm.registry` reads as ``LATE``.
    """
    late = {
        name: f'{package}.{room}' for room, names in rooms.items() for name in names
    }

    def get(name: str) -> Any:
        if name not in late:
            raise AttributeError(f'module {package!r} has no attribute {name!r}')
        value = getattr(import_module(late[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *late})

    return get, names, late
