"""Sizes of OpenCV's text, the same in OpenCV 4 and 5."""

from __future__ import annotations

import cv2

FONT = cv2.FONT_HERSHEY_SIMPLEX
# OpenCV 4 makes a capital as high as one asks for, OpenCV 5 (another font) a line with
# its room above, of which the capital is this share.
_CAPITAL = 1.0 if int(cv2.__version__.split('.')[0]) < 5 else 0.73


def font_scale(height: int, thickness: int) -> float:
    """Compute the scale of a text from its height.

    Args:
        height: Height of a capital in pixels.
        thickness: Of the strokes in pixels.

    Returns:
        ``fontScale`` of OpenCV's functions.
    """
    return cv2.getFontScaleFromHeight(FONT, round(height / _CAPITAL), thickness)


def text_size(text: str, scale: float, thickness: int) -> tuple[int, int]:
    """Measure a text.

    Args:
        text: The text.
        scale: ``fontScale`` of OpenCV's functions.
        thickness: Of the strokes in pixels.

    Returns:
        Width, and height of a capital, in pixels.
    """
    (width, ascent), _ = cv2.getTextSize(text, FONT, scale, thickness)
    return width, round(ascent * _CAPITAL)
