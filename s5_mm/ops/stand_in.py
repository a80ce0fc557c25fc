"""A stand-in for the compiled part of mmcv, ``mmcv._ext``, where it is missing."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, NoReturn

NAME = 'mmcv._ext'


class OpsMissingError(ImportError):
    """An operator of mmcv is called that exists in the compiled build only."""


class StandInFinder(MetaPathFinder, Loader):
    """Finds a module of this package where ``mmcv._ext`` is not installed.

    It comes last on ``sys.meta_path``, so it is asked only if the compiled module does
    not exist.  Its module holds the operators of :mod:`.operators`; any other name is
    there too, so that ``mmcv.ops``, mmdet and mmrotate can be imported, and raises
    :class:`OpsMissingError` when it is called.
    """

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        """Answer for ``mmcv._ext`` alone."""
        return ModuleSpec(NAME, self) if fullname == NAME else None

    def exec_module(self, module: ModuleType) -> None:
        """Fill the new module."""
        # Here, so that torch is not imported before it is needed.
        from . import operators

        vars(module).update(
            nms=operators.nms,
            nms_rotated=operators.nms_rotated,
            box_iou_rotated=operators.box_iou_rotated,
            roi_align_rotated_forward=operators.roi_align_rotated_forward,
            roi_align_rotated_backward=operators.roi_align_rotated_backward,
            get_compiler_version=operators.get_compiler_version,
            get_compiling_cuda_version=operators.get_compiling_cuda_version,
            __getattr__=_missing,
        )


def provide_ops() -> None:
    """Let Python find a stand-in for ``mmcv._ext`` where it is not installed.

    Importing ``s5_mm`` calls this.  mmdet and mmrotate that were imported before keep
    their own placeholders, which fail when they are called.
    """
    if not any(isinstance(finder, StandInFinder) for finder in sys.meta_path):
        sys.meta_path.append(StandInFinder())


def is_compiled() -> bool:
    """Return whether mmcv has its compiled operators."""
    import mmcv._ext

    return not isinstance(mmcv._ext.__spec__.loader, StandInFinder)


def _missing(name: str) -> Callable[..., NoReturn]:
    """Return a function that says that an operator is not compiled.

    Raises:
        AttributeError: For names of Python's own such as ``__path__``.
    """
    if name.startswith('__'):
        raise AttributeError(f'module {NAME!r} has no attribute {name!r}')

    def call(*args: Any, **kwargs: Any) -> NoReturn:
        raise OpsMissingError(
            f'the operator {name!r} of mmcv exists only in its compiled build, which '
            'this environment lacks. Compile it once: make ops (or: python '
            'tools/misc/build_ops.py)'
        )

    return call
