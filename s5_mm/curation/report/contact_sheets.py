"""Contact sheets: which crops stand side by side, and what is written below them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np

from s5_mm.visualization import grid
from s5_mm.visualization.drawing import PAPER, text_line

from ..overlap.provenance import Origin
from .leakage_tables import Duplicates, Matches
from .picks import Picks
from .pictures import TILE, Picture
from .text import number, shown

CROP_COLUMNS = (
    *('crop_id', 'collection', 'path', 'x', 'y', 'width', 'height'),
    *('entropy', 'cluster', 'similarity', 'decision', 'rejected', 'reason'),
)
_NUM_BORDERLINE = 24
_QUALITY = 88


class SheetTile(NamedTuple):
    """A place of a sheet.

    Attributes:
        row: Number of the crop's row in the manifest; -1 for another image.
        label: First line below the picture.
        image: An evaluation image; None for a crop.
    """

    row: int
    label: str = ''
    image: Origin | None = None


class Sheet(NamedTuple):
    """A contact sheet.

    Attributes:
        name: Name of its file, without the suffix.
        title: Its heading.
        text: What it shows.
        strips: Headings with the tiles below them.
    """

    name: str
    title: str
    text: str
    strips: list[tuple[str, list[SheetTile]]]


def arrange(
    picks: Picks, reasons: Sequence[str], sizes: np.ndarray, cuts: np.ndarray
) -> list[Sheet]:
    """Arrange the crops that were picked.

    Args:
        picks: The crops.
        reasons: By number of the reason its name.
        sizes: int64, (M,), selected crops of every cluster.
        cuts: float, (M,), largest entropy that was taken, NaN where it is not known.

    Returns:
        The sheets that have a crop.
    """
    best = [SheetTile(row) for row in picks.best.rows().get(0, [])]
    inside, outside = picks.inside.rows(), picks.outside.rows()
    both = sorted(set(inside) & set(outside), key=lambda c: (-sizes[c], c))
    borderline = []
    for cluster in sorted(both[:_NUM_BORDERLINE]):
        for where, rows in (('inside', inside), ('outside', outside)):
            cut = cuts[cluster] if cluster < len(cuts) else np.nan
            label = f'cluster {cluster}, {where} {number(float(cut))}'
            borderline.append(SheetTile(rows[cluster][0], label.removesuffix(' -')))
    typical = [
        SheetTile(row, f'cluster {cluster}')
        for cluster, rows in sorted(picks.typical.rows().items())
        for row in rows
    ]
    sheets = [
        Sheet(
            'best',
            'Lowest entropy',
            'The selected crops of the lowest entropy. Empty or flat crops here mean '
            'that the quality gate is too weak.',
            [('', best)],
        ),
        Sheet(
            'borderline',
            'At the cut',
            'The selected crop of the highest entropy and the first one beyond the '
            f'cut, in the {_NUM_BORDERLINE} clusters with the most selected crops.',
            [('', borderline)],
        ),
        Sheet(
            'typical',
            'Most typical',
            'The crops that are most similar to the prototype of their cluster, '
            'selected ones first.',
            [('', typical)],
        ),
    ]
    for name, title, kind in (
        ('rejected', 'Rejected', picks.rejected),
        ('dropped', 'Dropped', picks.dropped),
    ):
        named = {reasons[code]: rows for code, rows in kind.rows().items()}
        strips = [
            (reason or 'no reason given', [SheetTile(row) for row in named[reason]])
            for reason in sorted(named)
        ]
        sheets.append(Sheet(name, title, 'A random sample of every reason.', strips))
    return [sheet for sheet in sheets if any(tiles for _, tiles in sheet.strips)]


def arrange_checks(matches: Matches, duplicates: Duplicates) -> list[Sheet]:
    """Arrange what the check found, pairs and groups.

    Args:
        matches: The matches, after the pass over the manifest.
        duplicates: The near-duplicates, likewise.

    Returns:
        The sheets that have a crop.
    """
    sheets = []
    pairs: dict[str, list[SheetTile]] = {}
    for pair in matches.pairs():
        label = f'{pair.layer} {number(pair.distance)}: {pair.verdict}'
        name = f'{pair.origin.benchmark}/{pair.origin.split}'
        other = SheetTile(-1, name, pair.origin)
        pairs.setdefault(f'layer {pair.layer}', []).extend(
            [SheetTile(pair.row, label), other]
        )
    if pairs:
        text = 'Crops, each followed by the evaluation image that it matches best.'
        sheets.append(Sheet('leaks', 'Closest matches', text, list(pairs.items())))
    groups = [
        (f'{size} crops', [SheetTile(row) for row in rows])
        for size, rows in duplicates.examples()
        if rows
    ]
    if groups:
        text = 'The largest groups of near-duplicates; crops that stay come first.'
        sheets.append(Sheet('duplicates', 'Near-duplicates', text, groups))
    return sheets


def describe(
    tile: SheetTile, crop: Mapping[str, Any] | None, picture: Picture
) -> list[str]:
    """Write the lines below a picture.

    Args:
        tile: Its place.
        crop: Values of :data:`CROP_COLUMNS`; None for an evaluation image.
        picture: The picture.

    Returns:
        Lines, the first of which is the label, where there is one.
    """
    lines = [tile.label] if tile.label else []
    if tile.image is not None:
        lines.append(tile.image.image)
    if crop is not None:
        window = '{x},{y} {width}x{height} px'.format(**crop)
        lines += [f'{crop["collection"]}/{crop["path"]}', f'at {window}']
        if crop['entropy'] is not None:
            cluster = (
                '' if tile.label.startswith('cluster') else f', c{crop["cluster"]}'
            )
            lines.append(f'entropy {number(crop["entropy"], 3)}{cluster}')
        reason = crop['reason'] or crop['rejected'] or ''
        lines.append(': '.join(filter(None, (crop['decision'], reason))))
    if picture.problem:
        lines.append(f'no picture: {picture.problem}')
    return [shown(line) for line in lines]


def jpeg(pixels: np.ndarray) -> bytes:
    """Compress a small picture, uint8 (h, w, 3) RGB."""
    setting = [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
    return cv2.imencode('.jpg', pixels[..., ::-1], setting)[1].tobytes()


def sheet_png(strips: Sequence[tuple[str, Sequence[np.ndarray]]]) -> bytes:
    """Draw a sheet as one picture.

    Args:
        strips: Headings with the pictures below them, uint8 (h, w, 3) RGB.

    Returns:
        A PNG.
    """
    longest = max(len(pictures) for _, pictures in strips)
    widest = min(longest, 16 if longest > 48 else 8)
    # A row of full width keeps the strips equally wide.
    blank = np.full((TILE, TILE, 3), PAPER, np.uint8)
    parts = []
    for heading, pictures in strips:
        lines = [
            list(pictures[i : i + widest]) for i in range(0, len(pictures), widest)
        ]
        lines[0] += [blank] * (widest - len(lines[0]))
        drawn = grid(lines, tile_size=TILE, margin=6)
        if heading:
            parts.append(text_line(heading, drawn.shape[1], 24, bold=True))
        parts.append(drawn)
    return cv2.imencode('.png', np.concatenate(parts)[..., ::-1])[1].tobytes()
