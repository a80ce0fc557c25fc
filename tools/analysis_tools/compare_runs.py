"""Print a table of several runs: last values, mean and spread over seeds.

Example::

    python tools/analysis_tools/compare_runs.py \
        --runs supervised=work_dirs/sup_0,work_dirs/sup_1 fixmatch=work_dirs/fm_0 \
        --last mIoU mF1 OA --second-half mask_ratio time
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from statistics import fmean, median, stdev

from plot_runs import named_run

from s5_mm.visualization import read_scalars

Series = Mapping[str, Mapping[int, float]]


def last(series: Series, key: str) -> float | None:
    """Last value of a key, None if the run has none."""
    values = series.get(key)
    return values[max(values)] if values else None


def second_half(series: Series, key: str) -> float | None:
    """Median of a key over the second half of the run, None if it has none."""
    values = series.get(key)
    if not values:
        return None
    end = max(max(steps) for steps in series.values() if steps)
    chosen = [value for step, value in values.items() if step > end / 2]
    return median(chosen) if chosen else None


def cell(values: Sequence[float | None]) -> str:
    """Mean and spread of the seeds, and how many there are."""
    known = [value for value in values if value is not None]
    if not known:
        return '–'
    spread = f' ± {stdev(known):.2f}' if len(known) > 1 else ''
    return f'{fmean(known):.2f}{spread}'


def table(
    runs: Mapping[str, Sequence[str]], lasts: Sequence[str], halves: Sequence[str]
) -> str:
    """Make the table.

    Args:
        runs: Work directories of the seeds, by name.
        lasts: Keys whose last value counts.
        halves: Keys whose median over the second half counts.

    Returns:
        A table in Markdown; a spread is the sample standard deviation over seeds.
    """
    heads = [*lasts, *(f'{key} (2nd half)' for key in halves)]
    lines = [f'| run | seeds | {" | ".join(heads)} |', '|---' * (len(heads) + 2) + '|']
    for name, paths in runs.items():
        series = [read_scalars(path) for path in paths]
        cells = [cell([last(one, key) for one in series]) for key in lasts]
        cells += [cell([second_half(one, key) for one in series]) for key in halves]
        lines.append(f'| {name} | {len(paths)} | {" | ".join(cells)} |')
    return '\n'.join(lines)


def main(argv: list[str] | None = None) -> None:
    """Run the command.

    Args:
        argv: Arguments, those of the process by default.
    """
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--runs', nargs='+', type=named_run, required=True, metavar='NAME=PATH[,PATH]'
    )
    parser.add_argument('--last', nargs='*', default=['mIoU', 'mF1', 'OA'])
    parser.add_argument('--second-half', nargs='*', default=['mask_ratio', 'time'])
    args = parser.parse_args(argv)
    print(table(dict(args.runs), args.last, args.second_half))


if __name__ == '__main__':
    main()
