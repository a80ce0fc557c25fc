"""The page of a report, from its numbers and pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .contact_sheets import jpeg
from .gallery import FilledSheet
from .html import Page, number
from .tally import DECISIONS

_FEW_CLUSTERS = 16


def build_page(
    title: str,
    numbers: Mapping[str, Any],
    config: str,
    images: Mapping[str, bytes],
    sheets: Sequence[FilledSheet],
) -> str:
    """Build the page.

    Args:
        title: Its heading.
        numbers: Content of ``report.json``.
        config: Text of the run's config; '' if it is not known.
        images: Figures, PNG, by name.
        sheets: Contact sheets.

    Returns:
        Its HTML.
    """
    page = Page(title)
    for problem in numbers['problems']:
        page.text(problem, 'problem')
    _overview(page, numbers)
    _stages(page, numbers['stages'])
    _entropy(page, numbers, images)
    _quotas(page, numbers, images)
    _collections(page, numbers, images)
    _classes(page, numbers, images)
    found = {'leaks', 'duplicates'}
    page.section('Contact sheets')
    if all(sheet.name in found for sheet in sheets):
        page.text('There is no crop to show.', 'note')
    for sheet in sheets:
        if sheet.name not in found:
            _sheet(page, sheet)
    _leakage(page, numbers, images, sheets)
    _duplicates(page, numbers['duplicates'], sheets)
    _provenance(page, numbers, config)
    return page.render()


def _overview(page: Page, numbers: Mapping[str, Any]) -> None:
    """Add the counts of crops."""
    page.section('Overview')
    counts = numbers['overview']
    planned = counts['planned']
    if not counts['selected']:
        page.text('Nothing is selected.', 'problem')
    rows = [
        [name, counts[name], _percent(counts[name], planned)]
        for name in ('planned', 'scored', *DECISIONS)
    ]
    page.table(['crops', 'number', 'of the planned'], rows)
    reasons = [
        [decision, reason or '-', count, _percent(count, planned)]
        for decision, found in counts['reasons'].items()
        for reason, count in sorted(found.items(), key=lambda item: (-item[1], item[0]))
    ]
    if reasons:
        page.table(['decision', 'reason', 'crops', 'of the planned'], reasons)
    means = [[name, *values] for name, values in numbers['means'].items()]
    page.text('Means over the crops; the entropy is in nats.', 'note')
    page.table(['figure', 'scored', 'selected'], means)


def _stages(page: Page, stages: Sequence[Mapping[str, Any]]) -> None:
    """Add time and throughput."""
    page.section('Time of the stages')
    if not stages:
        page.text('The run has no stages.json, so its times are not known.', 'note')
        return
    page.text(
        'From stages.json; with the hash of the config, all that differs between two '
        'runs of the same selection.',
        'note',
    )
    keys = ('items', 'workers', 'items_per_second', 'of_one_worker')
    rows = [
        [stage['stage'], duration(stage['seconds']), *(stage[key] for key in keys)]
        for stage in stages
    ]
    total = duration(sum(stage['seconds'] for stage in stages))
    rows.append(['all', total, *[''] * len(keys)])
    headings = ('stage', 'time', 'items', 'workers', 'items/s', 'items/s and worker')
    page.table(headings, rows)


def _entropy(
    page: Page, numbers: Mapping[str, Any], images: Mapping[str, bytes]
) -> None:
    """Add the histograms."""
    page.section('Entropy')
    if 'entropy' not in images:
        page.text('No crop has an entropy.', 'note')
        return
    page.figure(images['entropy'], 'Entropy of all scored crops (Eq. 1).')
    headings = ('crops', '5 %', 'median', '95 %')
    rows = [[k, *(v or [None] * 3)] for k, v in numbers['entropy'].items()]
    page.table(headings, rows)
    page.figure(
        images['entropy_by_cluster'],
        'By cluster: number of the cluster, selected of scored crops. Grey: scored, '
        'blue: selected, red: cut. All panels share the horizontal axis; every panel '
        'has its own vertical axis.',
    )


def _quotas(
    page: Page, numbers: Mapping[str, Any], images: Mapping[str, bytes]
) -> None:
    """Add how the quotas were filled."""
    page.section('Quotas')
    clusters = numbers['clusters']
    if 'quotas' in images:
        page.figure(images['quotas'], 'Quota of every cluster (Eq. 3) and its filling.')
    else:
        page.text('The run has no select/quotas.json.', 'note')
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


def _collections(
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
        row.append(_percent(own['selected'], own['scored']))
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


def _classes(
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


def _leakage(
    page: Page,
    numbers: Mapping[str, Any],
    images: Mapping[str, bytes],
    sheets: Sequence[FilledSheet],
) -> None:
    """Add the crops that match evaluation images."""
    page.section('Leakage')
    leaks = numbers['leaks']
    if leaks is None:
        page.text(
            'The run has no check/matches.parquet: it was not compared with any '
            'benchmark.',
            'note',
        )
        return
    if not leaks:
        page.text('No crop matches an evaluation image.', 'note')
        return
    page.figure(images['leaks'], 'Crops by collection and benchmark, a matrix a layer.')
    keys = (
        *('collection', 'benchmark', 'split', 'layer', 'verdict', 'crops', 'selected'),
    )
    page.table(keys, [[cell[key] for key in keys] for cell in leaks])
    for sheet in sheets:
        if sheet.name == 'leaks':
            _sheet(page, sheet)


def _duplicates(
    page: Page, duplicates: Mapping[str, Any] | None, sheets: Sequence[FilledSheet]
) -> None:
    """Add the groups of near-duplicates."""
    page.section('Near-duplicates')
    if duplicates is None:
        page.text('The run has no check/duplicates.parquet.', 'note')
        return
    sizes, kept = duplicates['sizes'], duplicates['kept']
    crops = sum(size['crops'] for size in sizes)
    groups = sum(size['groups'] for size in sizes)
    page.text(
        f'{groups:,} groups of {crops:,} crops, of which {kept:,} stay and '
        f'{crops - kept:,} go.'
    )
    keys = ('size', 'groups', 'crops')
    if sizes:
        rows = [[size[key] for key in keys] for size in sizes]
        page.table(('crops in a group', 'groups', 'crops'), rows)
    for sheet in sheets:
        if sheet.name == 'duplicates':
            _sheet(page, sheet)


def _provenance(page: Page, numbers: Mapping[str, Any], config: str) -> None:
    """Add what identifies the run."""
    page.section('Provenance')
    run = numbers['run']
    rows = [
        ['package s5_mm', run['version'] or 'not in run.json'],
        ['code, git commit', run['commit'] or 'not in run.json'],
        ['package that wrote the report', numbers['report_version']],
    ]
    rows += [
        [f'sha256 of {name}', numbers['hashes'][name]] for name in numbers['hashes']
    ]
    page.table(('what', 'value'), rows)
    if config:
        page.preformatted('Config', config)
    else:
        page.text('run.json has no text of the config.', 'note')


def _sheet(page: Page, sheet: FilledSheet) -> None:
    """Add a contact sheet."""
    page.gallery(sheet.title, [])
    page.text(sheet.text, 'note')
    for heading, cells in sheet.strips:
        tiles = [(jpeg(cell.picture.pixels), cell.lines) for cell in cells]
        page.gallery(heading, tiles)


def duration(seconds: float) -> str:
    """Write a time: 12.3 s below two minutes, else hours, minutes and seconds."""
    if seconds < 120:
        return f'{number(float(seconds), 3)} s'
    minutes, rest = divmod(round(seconds), 60)
    return f'{minutes // 60}:{minutes % 60:02}:{rest:02} h'


def _percent(part: float, whole: float) -> str:
    """Write a share."""
    return f'{part / whole:.2%}' if whole else '-'
