"""From the values stored in a mask to class ids."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import cv2
import numpy as np

from s5_mm.utils.argument_checks import check_number
from s5_mm.utils.ignore import IGNORE

_INVALID = 254
MAX_CLASSES = 254
"""More classes do not fit beside the two special labels of an 8-bit map."""


class LabelRule:
    """How the stored values of a data set become class ids, as one table.

    The order is that of mmseg: the zero label goes first, then custom classes are
    renumbered, then what is to be ignored becomes 255.

    Args:
        num_classes: Number of classes; None accepts any value.
        reduce_zero_label: Whether a stored 0 is ignored and k means class k - 1.
        ignore_index: Class id that is ignored besides 255.
        label_map: Class id to new class id, 255 to ignore a class.

    Raises:
        ValueError: If there are more classes than :data:`MAX_CLASSES`.
    """

    def __init__(
        self,
        num_classes: int | None,
        reduce_zero_label: bool = False,
        ignore_index: int = IGNORE,
        label_map: Mapping[int, int] | None = None,
    ) -> None:
        if num_classes is not None:
            why = ': labels are 8-bit and 255 means ignore'
            check_number('num_classes', num_classes, 1, MAX_CLASSES, why=why)
        self.num_classes = num_classes
        ids: np.ndarray = np.arange(256)
        if reduce_zero_label:
            ids = np.where((ids == 0) | (ids == IGNORE), IGNORE, ids - 1)
        if label_map:
            ids = np.array([label_map.get(int(value), int(value)) for value in ids])
        ignored = (ids == IGNORE) | (ids == ignore_index)
        valid = ids < (IGNORE if num_classes is None else num_classes)
        self._checked = num_classes is not None
        table = np.where(ignored, IGNORE, np.where(valid, ids, _INVALID))
        self._table = table.astype(np.uint8)

    def apply(self, mask: np.ndarray) -> np.ndarray:
        """Translate a mask.

        Args:
            mask: uint8, shape (H, W), values as stored.

        Returns:
            uint8, shape (H, W): class ids 0 .. num_classes - 1, and 255.

        Raises:
            ValueError: If a value means none of the classes; the message names
                these values and how many pixels hold them.
        """
        labels = cv2.LUT(mask, self._table)
        if self._checked and (labels == _INVALID).any():
            counts = np.bincount(mask.ravel(), minlength=256)
            bad = np.flatnonzero((counts > 0) & (self._table == _INVALID))
            found = ', '.join(f'{value} ({counts[value]} px)' for value in bad[:8])
            raise ValueError(
                f'mask value(s) {found}{", ..." if bad.size > 8 else ""} outside the '
                f'{self.num_classes} classes; allowed are {self._allowed()}'
            )
        return labels

    def _allowed(self) -> str:
        """Write the accepted stored values as ranges."""
        values = np.flatnonzero(self._table != _INVALID)
        groups = np.split(values, np.flatnonzero(np.diff(values) > 1) + 1)
        spans = [
            str(group[0]) if group.size == 1 else f'{group[0]}..{group[-1]}'
            for group in groups
        ]
        return ', '.join(spans)


@lru_cache(maxsize=64)
def _cached_rule(
    num_classes: int | None,
    reduce_zero_label: bool,
    ignore_index: int,
    label_map: tuple[tuple[int, int], ...] | None,
) -> LabelRule:
    """Make the rule of a data set once."""
    return LabelRule(
        num_classes, reduce_zero_label, ignore_index, dict(label_map or ())
    )


def rule_of(results: Mapping) -> LabelRule:
    """Get the rule that the results dict of a pipeline asks for.

    Args:
        results: Holds ``reduce_zero_label`` and ``label_map`` as mmseg's data sets
            write them, and ``num_classes`` and ``ignore_index`` as ours add them.

    Returns:
        The rule, made once per data set.
    """
    label_map = results.get('label_map')
    return _cached_rule(
        results.get('num_classes'),
        bool(results.get('reduce_zero_label', False)),
        results.get('ignore_index', IGNORE),
        tuple(label_map.items()) if label_map else None,
    )
