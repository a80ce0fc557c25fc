"""Tables of gains and of runs, for a terminal and as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from .gains import Arms, Comparison, Gain

_NONE = '–'


def gain_table(found: Comparison, metric: str, markdown: bool = False) -> str:
    """Lay out the gains of one metric.

    Args:
        found: The comparison.
        metric: One of its metrics.
        markdown: Write a Markdown table instead of aligned columns.

    Returns:
        One row per arm and network: number of pairs, mean of the last figures with that
        of the best ones, mean difference with its interval, standard deviation, number
        of positive differences, and the difference of each pair by its seed.
    """
    gains = [gain for gain in found.gains if gain.metric == metric]
    optional = [
        name
        for name, shown in (
            ('network', any(gain.network for gain in gains)),
            ('against', len({gain.against for gain in gains if gain.against}) > 1),
        )
        if shown
    ]
    head = ['arm', *optional, 'n', f'last {metric}', 'best', 'gain']
    head += [f'{100 * found.level:g} % interval', 'sd', 'positive', 'gain by seed']
    return layout([head, *(_row(gain, optional) for gain in gains)], markdown)


def _row(gain: Gain, optional: Sequence[str]) -> list[str]:
    """Cells of a gain."""
    row = [gain.arm, *(getattr(gain, name) or _NONE for name in optional)]
    row.append(str(len(gain.ours)))
    row += [f'{fmean(v):.2f}' if v else _NONE for v in (gain.ours, gain.best)]
    found = gain.difference
    if found is None:
        return [*row, *[_NONE] * 5]
    row.append(f'{found.mean:+.2f}')
    if found.std is None:
        row += ['none: 1 pair', _NONE]
    else:
        row += [f'{found.low:+.2f} to {found.high:+.2f}', f'{found.std:.2f}']
    row.append(f'{found.positive} of {len(gain.ours)}')
    pairs = zip(gain.seeds, found.differences, strict=True)
    row.append(', '.join(f'{seed}: {difference:+.1f}' for seed, difference in pairs))
    return row


def run_table(arms: Arms, metric: str, markdown: bool = False) -> str:
    """Lay out every run, also those that failed.

    Args:
        arms: Runs by name of the arm.
        metric: Metric of the columns.
        markdown: As of :func:`gain_table`.

    Returns:
        One row per run: last figure, best one with its iteration, the same of the other
        network where it is reported, minutes, and what went wrong.
    """
    others = [f'{name}/{metric}' for name in ('student', 'teacher')]
    runs = [run for group in arms.values() for run in group]
    others = [key for key in others if any(key in run.values for run in runs)]
    keys = [metric, *others]
    head = ['arm', 'seed']
    for key in keys:
        head += [f'last {key}', 'best (iteration)']
    rows = [[*head, 'minutes', 'problem']]
    for run in runs:
        row = [run.arm, str(run.seed)]
        for key in keys:
            if run.values.get(key):
                best, step = run.best(key)
                row += [f'{run.last(key):.2f}', f'{best:.2f} ({step})']
            else:
                row += [_NONE, _NONE]
        minutes = f'{run.seconds / 60:.1f}' if run.seconds else _NONE
        rows.append([*row, minutes, run.problem(metric) or _NONE])
    return layout(rows, markdown)


def notes(found: Comparison) -> list[str]:
    """Say what the table leaves out.

    Args:
        found: The comparison.

    Returns:
        One line per run that counts in no pair, and per arm without an interval.
    """
    lines = [f'left out: {line}' for line in found.left_out]
    for gain in found.gains:
        count = len(gain.ours)
        if gain.metric == found.metrics[0] and gain.against and count < 2:
            name = ' '.join(filter(None, [gain.arm, gain.network]))
            lines.append(
                f'{name}: {count} pair{"s" * (count != 1)} with {gain.against}, an '
                'interval needs at least 2'
            )
    return lines


def layout(rows: Sequence[Sequence[str]], markdown: bool = False) -> str:
    """Align the columns of a table.

    Args:
        rows: Cells; the first row is the heading.
        markdown: Draw the bars of a Markdown table.

    Returns:
        The lines.
    """
    if markdown:
        rows = [[cell.replace('|', r'\|') for cell in row] for row in rows]
        rows = [rows[0], ['---'] * len(rows[0]), *rows[1:]]
        return '\n'.join(f'| {" | ".join(row)} |' for row in rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ('  '.join(map(str.ljust, row, widths)).rstrip() for row in rows)
    return '\n'.join(lines)
