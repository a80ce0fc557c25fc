"""The sections of the page that have figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from s5_mm.io.crop_tables.run_names import DECISIONS

from .html import Page, percent

_FEW_CLUSTERS = 16


def add_entropy(
    page: Page, numbers: Mapping[str, Any], images: Mapping[str, bytes]
) -> None:
    """Add the histograms."""
    page.section('Entropy')
    if 'entropy' not in images:
        page.text('No crop has an entropy.', 'note')
        return
    page.figure(
        images['entropy'],
        'Entropy of all scored crops (Eq. 1), and the cuts of the clusters.',
    )
    headings = ('crops', '5 %', 'median', '95 %')
    rows = [[k, *(v or [None] * 3)] for k, v in numbers['entropy'].items()]
    page.table(headings, rows)
    page.figure(
        images['entropy_by_cluster'],
        'By cluster: number of the cluster, selected of scored crops. Grey: scored, '
        'blue: selected, red: cut. All panels share the horizontal axis; every panel '
        'has its own vertical axis.',
    )


def add_quotas(
    page: Page, numbers: Mapping[str, Any], images: Mapping[str, bytes]
) -> None:
    """Add how the quotas were filled."""
    page.section('Quotas')
    clusters = numbers['clusters']
    if 'quotas' in images:
        page.figure(
            images['quotas'],
            'Quota of every cluster (Eq. 3) and how it was filled.',
        )
    else:
        page.text('The run has no check/quotas.json.', 'note')
    if not clusters:
        return
    keys = [
        *('cluster', 'labelled', 'wanted', 'available', 'filled', 'redistributed'),
        *('selected', 'dropped', 'scored', 'cut', 'median_pool', 'median_selected'),
    ]
    headings = [
        *keys[:9],
        'cut [nats]',
        'median entropy, scored',
        'median entropy, selected',
    ]
    rows = [[row[key] for key in keys] for row in clusters]
    sums = [sum(row[key] or 0 for row in clusters) for key in keys[1:9]]
    known = any(row['labelled'] is not None for row in clusters)
    rows.append(['all', sums[0] if known else None, *sums[1:], None, None, None])
    few = len(clusters) <= _FEW_CLUSTERS
    page.table(headings, rows, '' if few else f'Table of {len(clusters)} clusters')


def add_collections(
    page: Page, numbers: Mapping[str, Any], images: Mapping[str, bytes]
) -> None:
    """Add where the crops come from."""
    page.section('Collections')
    keys = ('planned', 'scored', *DECISIONS)
    sources = numbers['sources']
    headings = ['collection', *keys, 'selected of scored']
    if sources:
        headings += ['files', 'unreadable', 'GB', 'megapixels']
    crops = {row['collection']: row for row in numbers['collections']}
    rows = []
    for name in sorted({*crops, *(sources or {}).get('collections', ())}):
        own = crops.get(name, dict.fromkeys(keys, 0))
        row = [name, *(own[key] for key in keys)]
        row.append(percent(own['selected'], own['scored']))
        if sources:
            files = sources['collections'].get(name, {})
            row += [files.get('files', 0), files.get('unreadable', 0)]
            row += [files.get('bytes', 0) / 1e9, files.get('pixels', 0) / 1e6]
        rows.append(row)
    page.table(headings, rows)
    if not sources:
        page.text('The run has no plan/sources.parquet: files are not counted.', 'note')
    elif sources['problems']:
        rows = [list(problem.values()) for problem in sources['problems']]
        page.table(
            ('collection', 'path', 'problem'),
            rows,
            'The first files that cannot be read',
        )
    if 'collections' in images:
        page.figure(images['collections'], 'Collections by cluster.')


def add_classes(
    page: Page, numbers: Mapping[str, Any], images: Mapping[str, bytes]
) -> None:
    """Add the areas of the classes."""
    page.section('Classes')
    if 'classes' not in images:
        page.text('No crop was scored, so the areas are not known.', 'note')
        return
    page.figure(
        images['classes'],
        'Area of the predicted classes in the scored and the selected.',
    )
    rows = [
        [row['class'], *(None if row[k] is None else row[k] * 100 for k in keys)]
        for keys in [('scored', 'selected')]
        for row in numbers['class_areas']
    ]
    page.table(('class', 'scored [%]', 'selected [%]'), rows, 'Table of the classes')
