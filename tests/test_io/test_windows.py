"""Where the patches lie."""

from __future__ import annotations

import numpy as np
import pytest

from s5_mm.io.images.windows import patch_name, scale_windows, sliding_windows


@pytest.mark.parametrize(
    ('width', 'height'), [(1, 1), (50, 64), (65, 64), (200, 300), (257, 40), (112, 112)]
)
@pytest.mark.parametrize(
    ('sizes', 'gaps'), [([64], [16]), ([64], [0]), ([32, 64, 128], [8, 16, 50])]
)
def test_union_covers_the_image(width, height, sizes, gaps) -> None:
    windows = sliding_windows(width, height, sizes, gaps)
    seen = np.zeros((height, width), bool)
    for x0, y0, x1, y1 in windows:
        assert x0 >= 0
        assert y0 >= 0
        assert x1 <= max(width, x1 - x0)
        assert y1 <= max(height, y1 - y0)
        assert x1 - x0 == y1 - y0
        seen[y0:y1, x0:x1] = True
    assert seen.all()
    assert len({tuple(w) for w in windows.tolist()}) == len(windows)
    order = windows[:, [1, 0, 3]].tolist()
    assert order == sorted(order)


def test_neighbours_overlap_by_the_gap() -> None:
    windows = sliding_windows(4000, 1024, [1024], [200])
    assert windows[:, 0].tolist() == [0, 824, 1648, 2472, 2976]
    assert set(windows[:, 1].tolist()) == {0}


def test_windows_with_little_image_are_left_out() -> None:
    both = sliding_windows(100, 100, [64, 128], [0, 0], img_rate_thr=0.6)
    # 100^2 / 128^2 = 0.61
    assert {x1 - x0 for x0, _, x1, _ in both.tolist()} == {64, 128}
    one = sliding_windows(100, 100, [64, 128], [0, 0], img_rate_thr=0.62)
    assert {x1 - x0 for x0, _, x1, _ in one.tolist()} == {64}
    # No window has enough: the best one stays.
    assert sliding_windows(10, 10, [64, 32], [0, 0]).tolist() == [[0, 0, 32, 32]]


def test_rates_change_the_windows() -> None:
    assert scale_windows([1024], [200], [0.5, 1.0, 1.5]) == (
        [2048, 1024, 682],
        [400, 200, 133],
    )
    # The same window twice would be the same file twice.
    twice = sliding_windows(200, 200, *scale_windows([64, 64], [16, 16], [1.0]))
    assert twice.tolist() == sliding_windows(200, 200, [64], [16]).tolist()


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (
            ([64, 32], [16], [1.0]),
            r'sizes=\[64, 32\] and gaps=\[16\], expected one',
        ),
        (([], [], [1.0]), 'expected one gap a size'),
        (([64], [64], [1.0]), 'size 64 with gap 64, expected 0 <= gap < size'),
        (([64], [-1], [1.0]), 'size 64 with gap -1'),
        (([64], [16], [0.0]), r'rates=\[0.0\], expected numbers above 0'),
        (([64], [16], []), r'rates=\[\], expected'),
    ],
)
def test_settings_that_cannot_be(arguments, message) -> None:
    with pytest.raises(ValueError, match=message):
        scale_windows(*arguments)


def test_name() -> None:
    window = np.array([824, 0, 1848, 1024])
    assert patch_name('P0001', window) == 'P0001__1024__824___0'
