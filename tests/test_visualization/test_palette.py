from __future__ import annotations

import numpy as np
import pytest

from s5_mm.visualization import categorical_palette
from s5_mm.visualization.palette import cielab, hex_palette

# Machado, Oliveira and Fernandes 2009, severity 1, on linear RGB.
BLINDNESS = dict(
    protanopia=[
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    deuteranopia=[
        [0.367322, 0.860646, -0.227969],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    tritanopia=[
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
)


def _closest(palette):
    points = cielab(np.array(palette))
    gaps = np.linalg.norm(points[:, None] - points[None], axis=-1)
    np.fill_diagonal(gaps, np.inf)
    return gaps.min()


def _seen(palette, matrix):
    value = np.array(palette) / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    linear = np.clip(linear @ np.transpose(matrix), 0, 1)
    encoded = np.where(
        linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055
    )
    return encoded * 255


@pytest.mark.parametrize(
    ('rgb', 'lab'),
    # Values of colour tables for sRGB under D65.
    [
        ((255, 255, 255), (100.0, 0.0, 0.0)),
        ((0, 0, 0), (0.0, 0.0, 0.0)),
        ((255, 0, 0), (53.24, 80.09, 67.20)),
        ((0, 0, 255), (32.30, 79.19, -107.86)),
        ((119, 119, 119), (50.03, 0.0, 0.0)),
    ],
)
def test_cielab_equals_known_values(rgb, lab):
    np.testing.assert_allclose(cielab(np.array(rgb)), lab, atol=0.02)


@pytest.mark.parametrize('kind', BLINDNESS)
def test_first_eight_stay_distinct_in_colour_blindness(kind):
    assert _closest(_seen(categorical_palette(8), BLINDNESS[kind])) > 15


def test_no_two_of_64_colours_are_nearly_equal():
    palette = categorical_palette(64)
    assert len({tuple(color) for color in palette}) == 64
    assert np.array(palette).dtype.kind == 'i'
    assert np.ptp(palette) <= 255
    assert _closest(palette) > 22
    assert _closest([*palette, [0, 0, 0]]) > 22
    assert _closest([*palette, [255, 255, 255]]) > 22


def test_a_longer_palette_starts_with_the_shorter_one():
    longest = categorical_palette(64)
    assert [categorical_palette(n) for n in range(65)] == [
        longest[:n] for n in range(65)
    ]
    assert longest[8:11] == [[0, 0, 255], [0, 255, 0], [255, 0, 221]]
    assert hex_palette(2) == ['#0072b2', '#e69f00']


@pytest.mark.parametrize(
    ('n', 'message'),
    [
        (-1, 'n is -1; allowed is the number of colours, 0 or more'),
        (9999, 'n is 9999; allowed are at most 3698 colours'),
    ],
)
def test_numbers_that_do_not_fit(n, message):
    with pytest.raises(ValueError, match=message):
        categorical_palette(n)
