"""Writes the report of a curation run: one page, its numbers, its pictures."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from s5_mm.io.atomic import write_bytes
from s5_mm.io.crop_tables.run_names import DUPLICATES_FILE, MATCHES_FILE

from . import charts, histograms, summary
from .collect import Pass, read_manifest, summarise
from .contact_sheets import arrange, arrange_checks, sheet_png
from .gallery import FilledSheet, fill_sheets
from .leakage_tables import read_duplicates, read_matches
from .page import build_page
from .run_record import RunRecord

FIGURES = ('entropy', 'entropy_by_cluster', 'quotas', 'collections', 'classes', 'leaks')
SHEETS = ('best', 'borderline', 'typical', 'rejected', 'dropped', 'leaks', 'duplicates')


def write_report(
    record: RunRecord, out: str | os.PathLike[str], title: str = 'Curation'
) -> Path:
    """Write the report of a curation run.

    The manifest is read in batches, twice at most, so its length costs no memory.  The
    same run gives the same bytes; only the times of its stages differ when it is
    repeated.

    Args:
        record: The run, whose folder has ``manifest.parquet``,
            ``plan/sources.parquet``, ``check/matches.parquet`` and
            ``check/duplicates.parquet``.
        out: Folder that gets ``report.html``, which needs no other file,
            ``report.json`` and the pictures.
        title: Heading of the page.

    Returns:
        Path of the page.

    Raises:
        ManifestError: If a table is missing, damaged or of another version, or holds
            what cannot be.
    """
    out = Path(out)
    matches = read_matches(record.folder / 'check' / MATCHES_FILE)
    duplicates = read_duplicates(record.folder / 'check' / DUPLICATES_FILE)
    found = read_manifest(record, matches, duplicates)
    numbers = summarise(record, found, matches, duplicates)
    sheets = arrange(
        found.picks,
        found.tally.reasons.names,
        found.tally.selected.sum(axis=1),
        found.cuts,
    )
    filled = fill_sheets([*sheets, *arrange_checks(matches, duplicates)], record)
    numbers['sheets'] = {sheet.name: sheet.crops for sheet in filled}
    images = {
        **_figures(found, numbers),
        **{f'sheet_{sheet.name}': _picture(sheet) for sheet in filled},
    }
    page = build_page(title, numbers, record.config, images, filled)
    _write_all(out, page, numbers, images)
    return out / 'report.html'


def _figures(found: Pass, numbers: Mapping[str, Any]) -> dict[str, bytes]:
    """Draw the figures for which there are numbers, by name."""
    tally, clusters, images = found.tally, numbers['clusters'], {}
    if tally.pool.any():
        drawn = tally.pool, tally.selected, tally.bin_edges, found.cuts
        images['entropy'] = histograms.all_clusters(*drawn)
        images['entropy_by_cluster'] = histograms.by_cluster(*drawn)
        names, selected, scored = summary.collection_matrices(
            found.counts, len(tally.pool)
        )
        images['collections'] = charts.collections_by_cluster(selected, scored, names)
        areas = numbers['class_areas']
        columns = [[row[key] or 0 for row in areas] for key in ('scored', 'selected')]
        shares = np.array(columns, np.float64)
        images['classes'] = charts.class_area_chart(
            shares[0], shares[1], [row['class'] for row in areas]
        )
    if numbers['has_quotas']:
        keys = 'wanted', 'available', 'filled'
        columns = [[row[key] for row in clusters] for key in keys]
        images['quotas'] = charts.quotas(*np.array(columns, np.float64))
    if numbers['leaks']:
        images['leaks'] = charts.leaks(numbers['leaks'])
    return images


def _picture(sheet: FilledSheet) -> bytes:
    """Draw a contact sheet as one picture."""
    strips = [
        (heading, [cell.picture.pixels for cell in cells])
        for heading, cells in sheet.strips
    ]
    return sheet_png(strips)


def _write_all(
    out: Path, page: str, numbers: Mapping[str, Any], images: Mapping[str, bytes]
) -> None:
    """Write the files, the page last; pictures of an earlier report go."""
    for name in (*FIGURES, *(f'sheet_{name}' for name in SHEETS)):
        if name in images:
            _write(out / f'{name}.png', images[name])
        else:
            (out / f'{name}.png').unlink(missing_ok=True)
    text = json.dumps(numbers, indent=1, sort_keys=True, allow_nan=False)
    _write(out / 'report.json', text.encode())
    _write(out / 'report.html', page.encode())


def _write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    write_bytes(path, content)
