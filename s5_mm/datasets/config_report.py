"""Report on every file that the data sets of a config name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from mmengine.config import Config

from s5_mm.io.progress import ProgressLine
from s5_mm.registry import DATASETS
from s5_mm.utils.ignore import IGNORE

from .verification import scan

SPLITS = ('train', 'val', 'test')


def check_config(
    config: Config,
    splits: Sequence[str] = SPLITS,
    jobs: int = 1,
    full: bool = False,
) -> list[dict[str, Any]]:
    """Look at all files of a config's data sets.

    Args:
        config: The config; mmengine's default scope must be its own.
        splits: Of ``'train'``, ``'val'`` and ``'test'``.
        jobs: Processes.
        full: Decode the images too.

    Returns:
        A report per data set, files that several splits share once: ``name``;
        ``samples``; ``bad``, dicts of ``path`` (None for the data set itself) and
        ``reason``; ``pixels`` by class; ``warnings``, texts.
    """
    wanted: list[tuple[str, dict]] = []
    for split in splits:
        for name, cfg in _sources(config, split):
            if all(cfg != other for _, other in wanted):  # test is val, most often
                wanted.append((name, cfg))
    checked = [_check(name, cfg, jobs, full) for name, cfg in wanted]
    _judge_classes(checked)
    return [report for report, _ in checked]


def report_lines(reports: Sequence[dict[str, Any]]) -> list[str]:
    """Write reports as lines of text.

    Args:
        reports: See :func:`check_config`.

    Returns:
        The lines.
    """
    lines = []
    for report in reports:
        lines.append(
            f'{report["name"]}: {report["samples"]} samples, {len(report["bad"])} bad'
        )
        lines += [
            f'  BAD {": ".join(filter(None, (bad["path"], bad["reason"])))}'
            for bad in report['bad']
        ]
        total = sum(report['pixels'].values())
        lines += [
            f'  {label:<24}{count:>16,} px {count / total:>8.2%}'
            for label, count in report['pixels'].items()
        ]
    lines += [f'WARNING {text}' for report in reports for text in report['warnings']]
    return lines


def _sources(config: Config, split: str) -> Iterator[tuple[str, dict]]:
    """Yield name and config of every data set of a split."""
    loader = config.get(f'{split}_dataloader')
    if loader:
        yield from _parts(split, loader['dataset'])


def _parts(
    name: str, dataset: dict, pipeline: list | None = None
) -> Iterator[tuple[str, dict]]:
    """Take a data set apart into those that read files."""
    pipeline = dataset.get('pipeline', pipeline)
    if 'sources' in dataset:
        for source, cfg in dataset['sources'].items():
            if not isinstance(cfg, str):  # an alias names files that are seen already
                yield from _parts(f'{name}/{source}', cfg, pipeline)
    elif 'datasets' in dataset:  # a ConcatDataset
        for number, cfg in enumerate(dataset['datasets']):
            yield from _parts(f'{name}/{number}', cfg, pipeline)
    else:
        yield name, {**dataset, **({} if pipeline is None else {'pipeline': pipeline})}


def _check(
    name: str, cfg: dict, jobs: int, full: bool
) -> tuple[dict[str, Any], tuple[tuple[str, ...], np.ndarray]]:
    """Open a data set and look at its files; return its classes and pixels too."""
    report: dict[str, Any] = {
        'name': name,
        'samples': 0,
        'bad': [],
        'pixels': {},
        'warnings': [],
    }
    histogram = np.zeros(256, np.int64)
    try:
        dataset = DATASETS.build(cfg)
    except (ValueError, OSError) as error:
        report['bad'].append({'path': None, 'reason': str(error)})
        return report, ((), histogram)
    report['samples'] = total = len(dataset)
    progress = ProgressLine(name, 'samples')
    for done, found in enumerate(scan(dataset, 'full' if full else 'masks', jobs), 1):
        report['bad'] += [{'path': p, 'reason': r} for p, r in found.problems]
        if found.histogram is not None:
            histogram += found.histogram
        progress(done, total)
    classes = tuple((getattr(dataset, 'metainfo', None) or {}).get('classes') or ())
    if histogram.any():
        names = [*classes, *range(len(classes), IGNORE), 'ignored']
        report['pixels'] = {
            str(label): int(count)
            for label, count in zip(names, histogram, strict=True)
            if count or label in classes
        }
    return report, (classes, histogram)


def _judge_classes(
    checked: Sequence[tuple[dict[str, Any], tuple[tuple[str, ...], np.ndarray]]],
) -> None:
    """Find classes without a pixel in any data set of the same classes, in place."""
    totals: dict[tuple[str, ...], np.ndarray] = {}
    where: dict[tuple[str, ...], dict[str, Any]] = {}
    for report, (classes, histogram) in checked:
        if len(classes) > 1 and histogram.any():
            totals[classes] = totals.get(classes, 0) + histogram
            where.setdefault(classes, report)
    for classes, pixels in totals.items():
        there = np.flatnonzero(pixels[: len(classes)])
        absent = [name for k, name in enumerate(classes) if k not in there]
        if not absent:
            continue
        text = (
            f'class {", ".join(map(repr, absent))}: no pixel in any split; '
            + _likely_cause(len(classes), there.tolist(), pixels)
        )
        if len(there) <= 1:
            only = f'only {classes[there[0]]!r} has' if len(there) else 'no class has'
            reason = f'{only} pixels, nothing can be learned: {text}'
            where[classes]['bad'].append({'path': None, 'reason': reason})
        else:
            where[classes]['warnings'].append(text)


def _likely_cause(count: int, there: list[int], pixels: np.ndarray) -> str:
    """Say why a class may have no pixel."""
    ignored = pixels[IGNORE] / pixels.sum()
    if ignored:
        label = next(k for k in range(count) if k not in there)
        return (
            f'255 means ignore and has {ignored:.1%} of the pixels: if the masks hold '
            f'255 for a class, give the data set label_map={{255: {label}}}'
        )
    return (
        f'the masks hold the ids {", ".join(map(str, there))} alone: check the order '
        'and the number of metainfo.classes, and what the masks were drawn with'
    )
