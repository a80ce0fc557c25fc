"""Pictures of oriented boxes: what is there and what a detector finds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from .drawing import INK, legend, shrink
from .panels import grid
from .tags import TagPlacer, tag

_SHIFT = 4  # cv2's fractional bits: sixteenths of a pixel
_IGNORED = (190, 190, 190)


class OrientedBoxes(NamedTuple):
    """Boxes of one image, as arrays.

    Attributes:
        boxes: Rotated boxes (cx, cy, w, h, angle), (n, 5), in pixels of the image and
            radians, clockwise positive; or the four corners, (n, 8).
        labels: Class ids, (n,); -1 for objects that do not count, drawn in grey.
        scores: In [0, 1], (n,); None for ground truth.
    """

    boxes: np.ndarray
    labels: np.ndarray
    scores: np.ndarray | None = None


class BoxDrawing(NamedTuple):
    """A picture with boxes.

    Attributes:
        image: uint8 (H, W, 3) RGB.
        unnamed: Number of boxes whose class or score is not written for want of room.
    """

    image: np.ndarray
    unnamed: int


def box_corners(boxes: np.ndarray) -> np.ndarray:
    """Find the corners of boxes.

    Args:
        boxes: (n, 5) or (n, 8), see :class:`OrientedBoxes`.

    Returns:
        float64 (n, 4, 2), x and y, one after the other around the box.

    Raises:
        ValueError: If the boxes have another number of columns.
    """
    boxes = np.asarray(boxes, dtype=np.float64)
    if boxes.ndim == 2 and boxes.shape[1] == 8:
        return boxes.reshape(-1, 4, 2)
    if boxes.ndim != 2 or boxes.shape[1] != 5:
        raise ValueError(
            f'boxes of shape {boxes.shape} found, expected (n, 5) or (n, 8)'
        )
    cos, sin = np.cos(boxes[:, 4]), np.sin(boxes[:, 4])
    along = np.stack([cos, sin], axis=1) * boxes[:, 2:3] / 2
    across = np.stack([-sin, cos], axis=1) * boxes[:, 3:4] / 2
    centres = boxes[:, :2]
    signs = ((-1, -1), (1, -1), (1, 1), (-1, 1))
    return np.stack([centres + i * along + j * across for i, j in signs], axis=1)


def draw_oriented_boxes(
    image: np.ndarray,
    found: OrientedBoxes,
    classes: Sequence[str],
    palette: Sequence[Sequence[int]],
    size: int,
) -> BoxDrawing:
    """Scale an image and draw boxes over it, with class and score beside them.

    Lines and texts have the same thickness whatever the size of the image.  Boxes of
    a low score lie below those of a high one; texts are written by falling score, say
    the score alone where there is little room, and nothing where there is none, so
    that crowded places stay readable; the colour still says the class.

    Args:
        image: uint8 (H, W, 3) RGB.
        found: The boxes.
        classes: Names of the classes.
        palette: RGB of each class, 0-255.
        size: Longer side of the picture, in pixels.

    Returns:
        The picture and what it does not say.

    Raises:
        ValueError: If a label is no class, or a class has no colour.
    """
    _check(found, classes, palette)
    canvas = shrink(image, size)
    ratio = np.divide(canvas.shape[1::-1], image.shape[1::-1])
    corners = box_corners(found.boxes) * ratio
    colors = [
        tuple(map(int, palette[label])) if label >= 0 else _IGNORED
        for label in found.labels
    ]
    scores = np.ones(len(corners)) if found.scores is None else found.scores
    order = np.argsort(-np.asarray(scores), kind='stable')
    for i in order[::-1]:
        _outline(canvas, corners[i], colors[i], size)
    placer = TagPlacer(corners, canvas.shape[:2])
    height, unnamed = max(size // 64, 11), 0
    for i in order:
        if found.labels[i] < 0:
            continue
        texts = [classes[found.labels[i]]]
        if found.scores is not None:
            texts = [f'{texts[0]} {found.scores[i]:.2f}', f'{found.scores[i]:.2f}']
        tags = [tag(text, height, colors[i]) for text in texts]
        place = placer.place(corners[i], [one.shape[:2] for one in tags])
        unnamed += place is None or place[0] > 0
        if place is not None:
            version, x, y = place
            canvas[y : y + height, x : x + tags[version].shape[1]] = tags[version]
    return BoxDrawing(canvas, unnamed)


def detection_panel(
    image: np.ndarray,
    truth: OrientedBoxes | None,
    prediction: OrientedBoxes,
    classes: Sequence[str],
    palette: Sequence[Sequence[int]],
    score_thr: float = 0.3,
    dataset: str = '',
    caption: str = '',
    tile_size: int = 768,
) -> np.ndarray:
    """Draw image with ground truth | image with predictions, and a legend.

    Args:
        image: uint8 (H, W, 3) RGB.
        truth: The ground truth; None if it is not known.
        prediction: What a detector finds, with scores.
        classes: Names of the classes.
        palette: RGB of each class, 0-255.
        score_thr: Predictions with a lower score are not drawn.
        dataset: Name of the data set.
        caption: Line of text below the pictures.
        tile_size: Side of a picture in pixels.

    Returns:
        uint8 (H, W, 3) RGB.  The legend has the classes that occur.

    Raises:
        ValueError: If a label is no class, or a class has no colour.
    """
    sure = np.asarray(prediction.scores) >= score_thr
    shown = OrientedBoxes(*(np.asarray(values)[sure] for values in prediction))
    sides = [] if truth is None else [('ground truth', truth)]
    sides.append((f'prediction, score >= {score_thr:g}', shown))
    tiles, titles, unnamed, present = [], [], 0, set()
    for name, found in sides:
        drawn = draw_oriented_boxes(image, found, classes, palette, tile_size)
        tiles.append(drawn.image)
        counted = [int(label) for label in found.labels if label >= 0]
        titles.append(f'{name}: {len(counted)} boxes')
        unnamed += drawn.unnamed
        present |= set(counted)
    if dataset:
        titles[0] = f'{dataset}, {titles[0]}'
    if unnamed:
        caption += f'  ({unnamed} texts shortened or left out: no room)'
    line = max(tile_size // 32, 14)
    width = len(tiles) * (tile_size + 8) - 8
    ids = sorted(present)
    footer = legend([classes[i] for i in ids], [palette[i] for i in ids], width, line)
    return grid([tiles], titles, [caption], tile_size, footer=footer, line=line)


def _check(
    found: OrientedBoxes, classes: Sequence[str], palette: Sequence[Sequence[int]]
) -> None:
    """Refuse labels and classes that cannot be drawn."""
    if len(palette) < len(classes):
        raise ValueError(
            f'palette: {len(palette)} colours found for {len(classes)} classes'
        )
    labels = np.asarray(found.labels)
    if labels.size and not -1 <= labels.min() <= labels.max() < len(classes):
        wrong = sorted(set(labels.tolist()) - set(range(-1, len(classes))))
        raise ValueError(
            f'labels: {wrong[:8]} found, the data set has the classes 0 to '
            f'{len(classes) - 1} (and -1 does not count)'
        )


def _outline(
    canvas: np.ndarray, corners: np.ndarray, color: tuple[int, int, int], size: int
) -> None:
    """Draw a box, its line thin where the box is."""
    sides = np.linalg.norm(corners - np.roll(corners, 1, axis=0), axis=1)
    width = 1 if sides.min() < 12 else max(round(size / 400), 1)
    # Pixel centres are whole numbers to OpenCV, halves to the boxes.
    points = np.rint((corners - 0.5) * 2**_SHIFT).astype(np.int32)[:, None]
    if width > 1:
        # A dark rim keeps light colours visible on light ground.
        cv2.polylines(canvas, [points], True, INK, width + 2, cv2.LINE_AA, _SHIFT)
    cv2.polylines(canvas, [points], True, color, width, cv2.LINE_AA, _SHIFT)
