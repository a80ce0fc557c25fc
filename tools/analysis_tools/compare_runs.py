"""Print a table of several runs: last values, mean and spread over seeds.

Example::

    python tools/analysis_tools/compare_runs.py \
        --runs supervised=work_dirs/sup_0,work_dirs/sup_1 fixmatch=work_dirs/fm_0 \
        --last mIoU mF1 OA --second-half mask_ratio time

What several trainings did together, such as one model for each data set, is joined by
``+``; ``--mean`` adds the mean of some last values::

    python tools/analysis_tools/compare_runs.py \
        --runs SDF=sdf_a_0+sdf_b_0,sdf_a_1+sdf_b_1 MDF=mdf_0,mdf_1 \
        --last a/mIoU b/mIoU --mean a/mIoU b/mIoU --second-half
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean, median, stdev

from s5_mm.cli.arguments import named_run
from s5_mm.cli.command import CommandParser, start_command
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


def mean_of_last(series: Series, keys: Sequence[str]) -> float | None:
    """Mean of the last values of some keys, None if the run lacks one."""
    values = [last(series, key) for key in keys]
    return None if None in values else fmean(values)


def read_joined(paths: str) -> Series:
    """Read the scalars of runs joined by '+'; where they share keys, later ones win."""
    joined: dict[str, Mapping[int, float]] = {}
    for path in paths.split('+'):
        joined.update(read_scalars(path))
    return joined


def table(
    runs: Mapping[str, Sequence[str]],
    lasts: Sequence[str],
    halves: Sequence[str],
    means: Sequence[str] = (),
) -> str:
    """Make the table.

    Args:
        runs: Work directories of the seeds, by name; see :func:`read_joined`.
        lasts: Keys whose last value counts.
        halves: Keys whose median over the second half counts.
        means: Keys whose mean last value makes a column, 'average'.

    Returns:
        A table in Markdown; a spread is the sample standard deviation over seeds.
    """
    average = ['average'] if means else []
    heads = [*lasts, *average, *(f'{key} (2nd half)' for key in halves)]
    lines = [f'| run | seeds | {" | ".join(heads)} |', '|---' * (len(heads) + 2) + '|']
    for name, paths in runs.items():
        series = [read_joined(path) for path in paths]
        cells = [cell([last(one, key) for one in series]) for key in lasts]
        cells += [cell([mean_of_last(one, means) for one in series]) for _ in average]
        cells += [cell([second_half(one, key) for one in series]) for key in halves]
        lines.append(f'| {name} | {len(paths)} | {" | ".join(cells)} |')
    return '\n'.join(lines)


def main(argv: list[str] | None = None) -> None:
    """Run the command.

    Args:
        argv: Arguments, those of the process by default.
    """
    parser = CommandParser(__doc__, __file__)
    parser.add_argument(
        '--runs', nargs='+', type=named_run, required=True, metavar='NAME=PATH[,PATH]'
    )
    parser.add_argument('--last', nargs='*', default=['mIoU', 'mF1', 'OA'])
    parser.add_argument('--second-half', nargs='*', default=['mask_ratio', 'time'])
    parser.add_argument('--mean', nargs='+', default=[], metavar='KEY')
    args = parser.parse_args(argv)
    print(table(dict(args.runs), args.last, args.second_half, args.mean))


if __name__ == '__main__':
    start_command(main)
