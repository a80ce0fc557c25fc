"""Look at what a conversion made, through the data set that will read it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from s5_mm.io.progress import ProgressLine
from s5_mm.registry import DATASETS
from s5_mm.utils.ignore import IGNORE

from ..verification import scan
from .expected import Expected
from .record import Record

_SHOWN = 5


class VerificationReport(NamedTuple):
    """What was found in a split.

    Attributes:
        name: The split.
        images: Number of images.
        sizes: (width, height) -> number of images.
        labels: Class -> number of pixels, or of boxes; without labels nothing.
        unit: What ``labels`` counts, ``'px'`` or ``'boxes'``.
        problems: What is wrong, a line each.
    """

    name: str
    images: int
    sizes: dict[tuple[int, int], int]
    labels: dict[str, int]
    unit: str
    problems: tuple[str, ...]

    def lines(self) -> Iterator[str]:
        """Write the report.

        Yields:
            Lines of text; the problems are not among them.
        """
        shown = ', '.join(
            f'{count:,} of {width}x{height}'
            for (width, height), count in Counter(self.sizes).most_common(3)
        )
        more = f' and {len(self.sizes) - 3} other sizes' if len(self.sizes) > 3 else ''
        yield f'{self.name}: {self.images:,} images ({shown or "none"}{more})'
        total = max(sum(self.labels.values()), 1)
        for label, count in self.labels.items():
            yield f'  {label:<26}{count:>16,} {self.unit:<5} {count / total:>7.2%}'


def verify_split(
    name: str, config: dict, expected: Expected | None, processes: int
) -> VerificationReport:
    """Read the headers of all images, every pixel of the masks, all boxes.

    Args:
        name: The split.
        config: The data set, as a run's config names it.
        expected: What is known of the split; None compares nothing.
        processes: How many work at a time.

    Returns:
        What was found.
    """
    try:
        dataset = DATASETS.build({**config, 'pipeline': []})
    except (ValueError, OSError) as error:
        return VerificationReport(name, 0, {}, {}, 'px', (f'{name}: {error}',))
    progress = ProgressLine(f'verify {name}', 'images')
    histogram = np.zeros(256, np.int64)
    sizes: Counter[tuple[int, int]] = Counter()
    problems: list[str] = []
    for done, report in enumerate(scan(dataset, 'masks', processes), 1):
        problems += [f'{path}: {reason}' for path, reason in report.problems]
        sizes.update([report.size] if report.size else [])
        if report.histogram is not None:
            histogram += report.histogram
        progress(done, len(dataset))
    classes = list((getattr(dataset, 'metainfo', None) or {}).get('classes') or ())
    labels, unit = _pixels(histogram, classes), 'px'
    if len(dataset) and 'instances' in dataset.get_data_info(0):
        labels, unit = _boxes(dataset, classes), 'boxes'
    problems += _compare(name, len(dataset), sizes, expected)
    return VerificationReport(
        name, len(dataset), dict(sizes), labels, unit, tuple(problems)
    )


def compare_files(dst: Path, record: Record, found: Sequence[str]) -> list[str]:
    """Compare the files of a destination with those there should be.

    Args:
        dst: The destination.
        record: What there should be.
        found: What is there, without the record itself.

    Returns:
        A line for files that are missing, one for those that do not belong there, and
        what the source lacked.
    """
    wanted, there = set(record.outputs), set(found)
    problems = list(record.missing)
    for names, what in (
        (sorted(wanted - there), 'are missing'),
        (sorted(there - wanted), 'belong to no file of the source'),
    ):
        if names:
            problems.append(f'{dst}: {len(names):,} files {what}: {shorten(names)}')
    return problems


def shorten(names: Sequence[str], shown: int = _SHOWN) -> str:
    """Write the first of many names.

    Args:
        names: All of them.
        shown: How many are written.

    Returns:
        Text.
    """
    return ', '.join(names[:shown]) + (', ...' if len(names) > shown else '')


def _compare(
    name: str,
    images: int,
    sizes: Counter[tuple[int, int]],
    expected: Expected | None,
) -> Iterator[str]:
    """Compare numbers and sizes with those that are known."""
    if expected is None:
        return
    if expected.images not in (None, images):
        yield f'{name}: {images:,} images, expected {expected.images:,}'
    wrong = {size: n for size, n in sizes.items() if size not in expected.sizes}
    if expected.sizes and wrong:
        found = shorten([f'{n:,} of {w}x{h}' for (w, h), n in sorted(wrong.items())], 5)
        allowed = ' or '.join(f'{w}x{h}' for w, h in expected.sizes)
        yield f'{name}: images {found} px, expected {allowed}'


def _pixels(histogram: np.ndarray, classes: Sequence[str]) -> dict[str, int]:
    """Name the counts of a histogram; nothing if there are none."""
    if not histogram.any():
        return {}
    names = dict(enumerate(classes)) | {IGNORE: 'ignored'}
    return {
        str(names.get(label, label)): int(count)
        for label, count in enumerate(histogram)
        if count or label < len(classes)
    }


def _boxes(dataset: Any, classes: Sequence[str]) -> dict[str, int]:
    """Count the boxes of each class."""
    counts = Counter(
        instance['bbox_label']
        for index in range(len(dataset))
        for instance in dataset.get_data_info(index).get('instances', ())
    )
    return {name: counts[label] for label, name in enumerate(classes)}
