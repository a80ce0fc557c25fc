"""The table of label values against the steps of mmseg, one pixel at a time."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from s5_mm.datasets.labels import LabelRule

EVERY = np.arange(256, dtype=np.uint8)[None]


def slow(value: int, classes: int, zero: bool, ignore: int, names: dict | None) -> int:
    """255: ignored, -1: refused."""
    if zero and value != 255:
        value = 255 if value == 0 else value - 1
    if names and value != 255:
        value = names.get(value, value)
    if value in (255, ignore):
        return 255
    return value if value < classes else -1


@pytest.mark.parametrize(
    ('zero', 'ignore', 'names'),
    list(itertools.product([False, True], [255, 5, 0], [None, {0: 1, 1: 0, 2: 255}])),
)
def test_rule(zero: bool, ignore: int, names: dict | None) -> None:
    rule = LabelRule(5, zero, ignore, names)
    expected = np.array([slow(v, 5, zero, ignore, names) for v in range(256)])
    good = EVERY[:, expected >= 0]
    np.testing.assert_array_equal(rule.apply(good)[0], expected[expected >= 0])
    for value in np.flatnonzero(expected < 0):
        with pytest.raises(ValueError, match=rf'mask value\(s\) {value} \(1 px\)'):
            rule.apply(np.array([[value, 255]], np.uint8))


def test_message_lists_values_and_what_is_allowed() -> None:
    message = (
        r'7 \(2 px\), 9 \(1 px\) outside the 3 classes; allowed are '
        r'0\.\.2, 255'
    )
    with pytest.raises(ValueError, match=message):
        LabelRule(3).apply(np.array([[7, 7, 9, 1]], np.uint8))
    with pytest.raises(ValueError, match=r'8 \(1 px\), \.\.\. outside'):
        LabelRule(1).apply(EVERY[:, :12])


def test_without_classes_anything_goes() -> None:
    np.testing.assert_array_equal(LabelRule(None).apply(EVERY), EVERY)


@pytest.mark.parametrize('classes', [0, 255])
def test_number_of_classes(classes: int) -> None:
    with pytest.raises(ValueError, match=f'num_classes={classes}, expected 1 to 254'):
        LabelRule(classes)
