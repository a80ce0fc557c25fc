"""Contact sheets with their pictures, each source decoded once for all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from s5_mm.io.crop_tables.run_names import MANIFEST_FILE

from ..overlap.provenance import Origin
from .contact_sheets import CROP_COLUMNS, Sheet, SheetTile, describe
from .pictures import Picture, crop_pictures, image_picture, placeholder
from .run_record import RunRecord
from .table_batches import take_rows

_IDENTITY = ('collection', 'path', 'x', 'y', 'width', 'height')


class Cell(NamedTuple):
    """A place of a sheet with its picture.

    Attributes:
        picture: The picture.
        lines: Lines below it.
    """

    picture: Picture
    lines: list[str]


class FilledSheet(NamedTuple):
    """A contact sheet with its pictures.

    Attributes:
        name: As :class:`~s5_mm.curation.report.contact_sheets.Sheet`.
        title: Its heading.
        text: What it shows.
        strips: Headings with the cells below them.
        crops: What is in the cells, for ``report.json``.
    """

    name: str
    title: str
    text: str
    strips: list[tuple[str, list[Cell]]]
    crops: list[dict[str, Any]]


def fill_sheets(sheets: Sequence[Sheet], record: RunRecord) -> list[FilledSheet]:
    """Read the pictures of all sheets.

    Args:
        sheets: The sheets.
        record: The run.

    Returns:
        The sheets; what cannot be read is a placeholder in them.
    """
    tiles = [tile for sheet in sheets for _, row in sheet.strips for tile in row]
    rows = np.array([tile.row for tile in tiles if tile.row >= 0], np.int64)
    crops = take_rows(record.folder / MANIFEST_FILE, rows, CROP_COLUMNS)
    sides = [max(crop['width'], crop['height']) for crop in crops.values()]
    size = max([record.crop_size, *sides])
    pictures = crop_pictures(crops, record.collections, size)
    images = {
        tile.image: _eval_picture(record, tile.image)
        for tile in tiles
        if tile.image is not None
    }

    def cell(tile: SheetTile) -> Cell:
        picture = pictures[tile.row] if tile.image is None else images[tile.image]
        return Cell(picture, describe(tile, crops.get(tile.row), picture))

    filled = []
    for sheet in sheets:
        strips = [(head, [cell(tile) for tile in row]) for head, row in sheet.strips]
        listed = [
            {'strip': head, 'label': tile.label, **_identity(tile, crops)}
            for head, row in sheet.strips
            for tile in row
        ]
        filled.append(FilledSheet(sheet.name, sheet.title, sheet.text, strips, listed))
    return filled


def _identity(
    tile: SheetTile, crops: Mapping[int, Mapping[str, Any]]
) -> dict[str, Any]:
    """Say which crop or image is at a place of a sheet."""
    if tile.image is not None:
        benchmark, split, image = tile.image
        return {'benchmark': benchmark, 'split': split, 'eval_image': image}
    crop = crops[tile.row]
    # Identifiers have 64 bits, numbers of JSON only 53 that all readers keep.
    return {'crop_id': str(crop['crop_id']), **{key: crop[key] for key in _IDENTITY}}


def _eval_picture(record: RunRecord, origin: Origin) -> Picture:
    """Read an image of a benchmark."""
    try:
        return image_picture(record.eval_file(origin))
    except (OSError, ValueError) as error:
        return placeholder(str(error))
