from __future__ import annotations

import cv2
import numpy as np
import pytest

from s5_mm.visualization.lettering import FONT, font_scale, text_size


@pytest.mark.parametrize('height', [12, 28, 60, 120])
@pytest.mark.parametrize('thickness', [1, 4])
def test_a_capital_is_as_high_as_asked_for(height, thickness):
    """With OpenCV 4 and 5, whose fonts and measures differ."""
    scale = font_scale(height, thickness)
    canvas = np.zeros((300, 300), np.uint8)
    cv2.putText(canvas, 'H', (60, 240), FONT, scale, 255, thickness, cv2.LINE_AA)
    rows, columns = np.nonzero(canvas > 127)
    ink = rows.max() - rows.min() + 1
    # Strokes of OpenCV 4 reach half their thickness beyond the letter.
    assert height - 2 <= ink <= height + thickness + 2
    width, capital = text_size('H', scale, thickness)
    assert height - 2 <= capital <= height + thickness + 2
    assert columns.max() - columns.min() < width + thickness
