"""The page of a report, from its numbers and pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from s5_mm.io.crop_tables.run_names import DECISIONS

from . import page_figures
from .contact_sheets import jpeg
from .gallery import FilledSheet
from .html import Page, number, percent

_MEANING = {
    'entropy': 'Mean over the pixels of the entropy of the predicted probabilities, in '
    'nats (Eq. 1): low where the model is sure of its classes.',
    'similarity': 'Cosine between its feature and the nearest prototype: 1 is just '
    'like the labelled images of its cluster.',
    'margin': 'How much that similarity exceeds the one with the second nearest '
    'prototype: near 0 the crop could be in either cluster.',
    'foreground': 'Share of the pixels whose class is not the background.',
    'confidence': 'Mean over the pixels of the largest predicted probability.',
}


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
    page_figures.add_entropy(page, numbers, images)
    page_figures.add_quotas(page, numbers, images)
    page_figures.add_collections(page, numbers, images)
    page_figures.add_classes(page, numbers, images)
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
        [name, counts[name], percent(counts[name], planned)]
        for name in ('planned', 'scored', *DECISIONS)
    ]
    page.table(['crops', 'number', 'of the planned'], rows)
    reasons = [
        [decision, reason or '-', count, percent(count, planned)]
        for decision, found in counts['reasons'].items()
        for reason, count in sorted(found.items(), key=lambda item: (-item[1], item[0]))
    ]
    if reasons:
        page.table(['decision', 'reason', 'crops', 'of the planned'], reasons)
    means = [
        [name, *values, _MEANING.get(name, '')]
        for name, values in numbers['means'].items()
    ]
    page.text('Means over the crops:', 'note')
    page.table(['figure', 'scored', 'selected', 'what it is of a crop'], means)
    page.text(
        'Equations are those of the S5 paper. Eq. 1 is the entropy above, Eq. 2 takes '
        'crops in its ascending order, and Eq. 3 gives each cluster a quota: its share '
        'of the labelled images. A cluster is all crops that are nearest to one '
        'prototype, the mean feature of labelled images that look alike; its cut is '
        'the largest entropy that was taken.',
        'note',
    )


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
        [
            stage['stage'],
            exact_duration(stage['seconds']),
            *(stage[key] for key in keys),
        ]
        for stage in stages
    ]
    total = exact_duration(sum(stage['seconds'] for stage in stages))
    rows.append(['all', total, *[''] * len(keys)])
    headings = ('stage', 'time', 'items', 'workers', 'items/s', 'items/s and worker')
    page.table(headings, rows)


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
    page.subsection(sheet.title)
    page.text(sheet.text, 'note')
    for heading, cells in sheet.strips:
        tiles = [(jpeg(cell.picture.pixels), cell.lines) for cell in cells]
        page.gallery(heading, tiles)


def exact_duration(seconds: float) -> str:
    """Write a time: 12.3 s below two minutes, else hours, minutes and seconds."""
    if seconds < 120:
        return f'{number(float(seconds), 3)} s'
    minutes, rest = divmod(round(seconds), 60)
    return f'{minutes // 60}:{minutes % 60:02}:{rest:02} h'
