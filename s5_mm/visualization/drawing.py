"""Building blocks of the pictures: colours of masks, heat maps, captions, legends.

Everything works on numpy arrays with OpenCV alone and needs no model.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from .lettering import FONT, font_scale, text_size

INK = (32, 32, 36)
PAPER = (255, 255, 255)


def colorize(
    mask: np.ndarray,
    palette: Sequence[Sequence[int]],
    ignore_index: int = 255,
) -> np.ndarray:
    """Paint a mask in the colours of its classes.

    Args:
        mask: Class ids, any integer type, (H, W).
        palette: RGB of each class, 0-255.
        ignore_index: Id that is no class; it becomes light grey with hatches.

    Returns:
        uint8 (H, W, 3) RGB.

    Raises:
        ValueError: If the mask holds an id that has no colour.
    """
    colors = np.asarray(palette, dtype=np.uint8).reshape(-1, 3)
    ignored = mask == ignore_index
    ids = np.where(ignored, 0, mask)
    if ids.size and (ids.min() < 0 or ids.max() >= len(colors)):
        wrong = sorted(set(np.unique(ids).tolist()) - set(range(len(colors))))
        raise ValueError(
            f'mask: ids {wrong[:8]} found, the palette has colours for 0 to '
            f'{len(colors) - 1} (and {ignore_index} is ignored)'
        )
    return hatch(colors[ids], ignored)


def hatch(image: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Hatch the part of a picture that does not count.

    Args:
        image: uint8 (H, W, 3) RGB.
        where: bool (H, W), True where it does not count.

    Returns:
        A copy with grey diagonal stripes there.
    """
    height, width = where.shape
    lines = (np.add.outer(np.arange(height), np.arange(width)) // 2) % 3 == 0
    image = image.copy()
    image[where] = np.where(lines[where][:, None], 150, 214)
    return image


def heat_map(
    confidence: np.ndarray,
    counted: np.ndarray | None = None,
    valid: np.ndarray | None = None,
) -> np.ndarray:
    """Paint confidences from dark (0) to bright (1).

    Args:
        confidence: Values in [0, 1], float (H, W).
        counted: bool (H, W), an area whose border is drawn; None draws none.
        valid: bool (H, W), False where nothing counts (padding); None for all.

    Returns:
        uint8 (H, W, 3) RGB.
    """
    values = np.nan_to_num(np.asarray(confidence, dtype=np.float32))
    grey = np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)
    image = np.ascontiguousarray(
        cv2.applyColorMap(grey, cv2.COLORMAP_VIRIDIS)[..., ::-1]
    )
    if counted is not None:
        border = cv2.morphologyEx(
            counted.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((2, 2), np.uint8)
        )
        image[border > 0] = (235, 60, 50)
    return image if valid is None else hatch(image, ~valid)


def overlay(image: np.ndarray, colors: np.ndarray, alpha: float = 0.55) -> np.ndarray:
    """Lay the colours of a mask over a picture.

    Args:
        image: uint8 (H, W, 3) RGB.
        colors: uint8 (H, W, 3) RGB, see :func:`colorize`.
        alpha: Share of the colours, in [0, 1].

    Returns:
        uint8 (H, W, 3) RGB.
    """
    return cv2.addWeighted(image, 1 - alpha, colors, alpha, 0)


def shrink(image: np.ndarray, size: int) -> np.ndarray:
    """Scale a picture so that its longer side has a given length.

    Args:
        image: uint8 (H, W, 3) RGB.
        size: Longer side afterwards, in pixels.

    Returns:
        uint8 (h, w, 3) RGB.
    """
    height, width = image.shape[:2]
    scale = size / max(height, width)
    shape = max(round(width * scale), 1), max(round(height * scale), 1)
    # Enlarged pixels stay visible as squares: nothing is made up.
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    return cv2.resize(image, shape, interpolation=how)


def fit(image: np.ndarray, size: int) -> np.ndarray:
    """Bring a picture onto a square tile, keeping its proportions.

    Args:
        image: uint8 (H, W, 3) RGB.
        size: Side of the tile in pixels.

    Returns:
        uint8 (size, size, 3) RGB; what the picture does not fill is white.
    """
    small = shrink(image, size)
    height, width = small.shape[:2]
    tile = np.full((size, size, 3), PAPER, dtype=np.uint8)
    top, left = (size - height) // 2, (size - width) // 2
    tile[top : top + height, left : left + width] = small
    return tile


def text_line(text: str, width: int, height: int, bold: bool = False) -> np.ndarray:
    """Write a line of text, as large as the space allows.

    Args:
        text: The text; characters beyond ASCII become '?'.
        width: Width of the line in pixels.
        height: Height of the line in pixels.
        bold: True for thicker strokes.

    Returns:
        uint8 (height, width, 3) RGB, dark on white.  Text that would be illegible
        is cut and ends in '..'.
    """
    text = text.encode('ascii', 'replace').decode()
    # Strokes are drawn four times too large and shrunk, which reads better.
    zoom = 4
    thickness = zoom + zoom * int(bold) // 2 + zoom * (height // 28) // 2
    scale = font_scale(max(round(height * 0.46 * zoom), 4), 1)
    room = max(width - 4, 1) * zoom

    def extent(content: str) -> int:
        return text_size(content, scale, thickness)[0]

    if extent(text) > room:  # smaller first, down to 7 pixels, then shorter
        legible = font_scale(7 * zoom, 1)
        thickness = min(thickness, zoom * 3 // 2)
        scale = max(scale * room / extent(text), min(scale, legible))
    while text and extent(text) > room:
        text = text.removesuffix('..')[:-1]
        text += '..' if text else ''
    canvas = np.full((height * zoom, width * zoom, 3), PAPER, dtype=np.uint8)
    _, ascent = text_size('Hg', scale, thickness)
    origin = 2 * zoom, (height * zoom + ascent) // 2
    cv2.putText(canvas, text, origin, FONT, scale, INK, thickness, cv2.LINE_AA)
    return cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA)


def legend(
    classes: Sequence[str],
    palette: Sequence[Sequence[int]],
    width: int,
    row_height: int = 22,
) -> np.ndarray:
    """Draw which colour is which class.

    Args:
        classes: Names of the classes.
        palette: RGB of each class, 0-255.
        width: Width of the legend in pixels.
        row_height: Height of its rows in pixels.

    Returns:
        uint8 (rows * row_height, width, 3) RGB; as many rows as are needed.

    Raises:
        ValueError: If there are fewer colours than classes.
    """
    if len(palette) < len(classes):
        raise ValueError(
            f'palette: {len(palette)} colours found for {len(classes)} classes'
        )
    longest = max((len(name) for name in classes), default=0) + 1
    entry = min(int(row_height * (1.2 + 0.46 * longest)), max(width, 1))
    columns = max(width // max(entry, 1), 1)
    rows = -(-len(classes) // columns)
    image = np.full((rows * row_height, width, 3), PAPER, dtype=np.uint8)
    box = min(max(row_height * 6 // 10, 1), width)
    for i, name in enumerate(classes):
        top, left = i // columns * row_height, i % columns * entry
        edge = top + (row_height - box) // 2
        image[edge : edge + box, left : left + box] = palette[i]
        room = min(entry, width - left) - box - 4
        if room > 8:
            start = left + box + 3
            image[top : top + row_height, start : start + room] = text_line(
                name, room, row_height
            )
    return image
