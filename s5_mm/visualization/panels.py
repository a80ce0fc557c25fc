"""Pictures that show what a semi-supervised segmentor sees and believes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .drawing import PAPER, colorize, fit, hatch, heat_map, legend, overlay, text_line


class PseudoLabelView(NamedTuple):
    """One unlabelled sample of a training step, as arrays.

    Attributes:
        image: Weak view, uint8 (H, W, 3) RGB.
        pseudo_label: What the teacher says of it, class ids, (H, W).
        confidence: How sure it is, float (H, W) in [0, 1].
        weight: How much it counts, float (H, W) in [0, 1].
        strong: Strong view, uint8 (H, W, 3) RGB.
        prediction: What the student says of the strong view, class ids, (H, W).
        valid: bool (H, W), False on padding; None if there is none.
        name: What the sample is called, e.g. its file name.
    """

    image: np.ndarray
    pseudo_label: np.ndarray
    confidence: np.ndarray
    weight: np.ndarray
    strong: np.ndarray
    prediction: np.ndarray
    valid: np.ndarray | None = None
    name: str = ''


def grid(
    rows: Sequence[Sequence[np.ndarray]],
    titles: Sequence[str] = (),
    captions: Sequence[str] = (),
    tile_size: int = 192,
    margin: int = 8,
    footer: np.ndarray | None = None,
    line: int | None = None,
) -> np.ndarray:
    """Arrange pictures in a grid on white paper.

    Args:
        rows: Pictures, uint8 (H, W, 3) RGB, any sizes; rows may differ in length.
        titles: Headings of the columns.
        captions: Lines of text below the rows.
        tile_size: Side of a cell in pixels; pictures are scaled into it.
        margin: Space between the cells in pixels.
        footer: Drawn below everything, uint8 (h, w, 3) RGB with w at most the
            width of the grid.
        line: Height of titles and captions in pixels; by default a ninth of a tile.

    Returns:
        uint8 (H, W, 3) RGB.
    """
    columns = max([len(row) for row in rows] + [len(titles), 1])
    line = line or max(tile_size // 9, 12)
    width = margin + columns * (tile_size + margin)
    strips = []

    def add(cells: Sequence[np.ndarray], height: int, gap: int) -> None:
        strip = np.full((height + gap, width, 3), PAPER, dtype=np.uint8)
        for i, cell in enumerate(cells):
            left = margin + i * (tile_size + margin)
            strip[:height, left : left + cell.shape[1]] = cell
        strips.append(strip)

    add([], 0, margin)
    if titles:
        add([text_line(t, tile_size, line, bold=True) for t in titles], line, 2)
    for i, row in enumerate(rows):
        below = captions[i] if i < len(captions) else ''
        add([fit(cell, tile_size) for cell in row], tile_size, 2 if below else margin)
        if below:
            add([text_line(below, width - 2 * margin, line)], line, margin)
    if footer is not None and footer.size:
        add([footer[:, : width - 2 * margin]], footer.shape[0], margin)
    return np.concatenate(strips)


def pseudo_label_panel(
    views: Sequence[PseudoLabelView],
    classes: Sequence[str],
    palette: Sequence[Sequence[int]],
    tile_size: int = 192,
) -> np.ndarray:
    """Draw image | pseudo-label | confidence | strong view | prediction, row by row.

    Pseudo-labels are faded where they count less or not at all; padding is hatched; in
    the confidence map what counts has a red border.

    Args:
        views: The samples, a row each.
        classes: Names of the classes.
        palette: RGB of each class, 0-255.
        tile_size: Side of a cell in pixels.

    Returns:
        uint8 (H, W, 3) RGB.
    """
    rows, captions = [], []
    for view in views:
        valid = _valid(view)
        weight = np.where(valid, view.weight, 0)
        label = colorize(np.where(valid, view.pseudo_label, 255), palette)
        shown = np.where(valid, 0.3 + 0.7 * weight, 1)[..., None]
        label = np.rint(label * shown + 255 * (1 - shown)).astype(np.uint8)
        rows.append(
            [
                hatch(view.image, ~valid),
                label,
                heat_map(view.confidence, weight > 0, valid),
                hatch(view.strong, ~valid),
                colorize(np.where(valid, view.prediction, 255), palette),
            ]
        )
        share = weight.sum() / max(valid.sum(), 1)
        captions.append(f'{view.name}  {share:.0%} of the pixels count'.strip())
    titles = (
        'image',
        'pseudo-label',
        'confidence (red: what counts)',
        'strong view',
        'prediction',
    )
    footer = _footer(classes, palette, len(titles), tile_size)
    return grid(rows, titles, captions, tile_size, footer=footer)


def prediction_panel(
    images: Sequence[np.ndarray],
    masks: Sequence[Sequence[np.ndarray]],
    titles: Sequence[str],
    classes: Sequence[str],
    palette: Sequence[Sequence[int]],
    captions: Sequence[str] = (),
    tile_size: int = 192,
    alpha: float = 1.0,
) -> np.ndarray:
    """Draw images beside masks: the ground truth and what models predict.

    Args:
        images: uint8 (H, W, 3) RGB, a row each.
        masks: For each image its masks, class ids (H, W); 255 is hatched.
        titles: Headings of the columns, 'image' first.
        classes: Names of the classes.
        palette: RGB of each class, 0-255.
        captions: Lines of text below the rows.
        tile_size: Side of a cell in pixels.
        alpha: Share of the masks' colours over the image, in [0, 1].

    Returns:
        uint8 (H, W, 3) RGB.
    """
    rows = [
        [image, *(overlay(image, colorize(mask, palette), alpha) for mask in row)]
        for image, row in zip(images, masks, strict=True)
    ]
    columns = max([len(row) for row in rows] + [len(titles)])
    footer = _footer(classes, palette, columns, tile_size)
    return grid(rows, titles, captions, tile_size, footer=footer)


def _valid(view: PseudoLabelView) -> np.ndarray:
    """Pixels of a view that are no padding, bool (H, W)."""
    if view.valid is None:
        return np.ones(view.image.shape[:2], dtype=bool)
    return np.asarray(view.valid, dtype=bool)


def _footer(
    classes: Sequence[str],
    palette: Sequence[Sequence[int]],
    columns: int,
    tile_size: int,
) -> np.ndarray:
    """Legend as wide as the columns of a grid with the default margin."""
    width = columns * (tile_size + 8) - 8
    return legend(classes, palette, width, max(tile_size // 9, 14))
