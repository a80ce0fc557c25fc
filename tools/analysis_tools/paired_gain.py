"""Print what methods gain over a baseline, with 95 % intervals over paired runs.

Example::

    python tools/analysis_tools/paired_gain.py work_dirs/lab/harbours_5
    python tools/analysis_tools/paired_gain.py work_dirs/lab/harbours_5 \
        work_dirs/lab/dubai_1-8 --markdown --out docs/lab/s4_results.md
    python tools/analysis_tools/paired_gain.py --baseline labels_only --runs \
        labels_only=sup_0,sup_1,sup_2 recipe=fm_0,fm_1,fm_2 --per-class

Runs are paired by the seed and the labelled images of their configs.  Reported is the
last checkpoint, with the best one beside it; the interval is Student's t on the paired
differences.  Where runs report student and teacher, both are compared with the
baseline.  Runs without a figure of their last iteration are named and left out, runs
that differ in test images or length are refused.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from s5_mm.cli.arguments import named_run
from s5_mm.cli.command import CommandParser, start_command
from s5_mm.lab import (
    Comparison,
    Results,
    compare,
    gain_table,
    notes,
    read_results,
    read_run,
    run_table,
)

_HEAD = """# Gains over paired runs

Written by `tools/analysis_tools/paired_gain.py --markdown`; the rules are in
[s4_protocol.md](s4_protocol.md).
"""


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = CommandParser(__doc__, __file__)
    parser.add_argument(
        'labs', nargs='*', metavar='LAB', help='work directory or results.json of a lab'
    )
    parser.add_argument(
        '--runs', nargs='+', type=named_run, default=[], metavar='NAME=PATH[,PATH]'
    )
    parser.add_argument(
        '--baseline',
        metavar='NAME',
        help='arm that all others are compared with; by default as the grid says, of '
        '--runs the first',
    )
    parser.add_argument('--metric', default='mIoU', help='(%(default)s)')
    parser.add_argument(
        '--per-class', action='store_true', help='IoU of every class as well'
    )
    parser.add_argument(
        '--level', type=float, default=0.95, help='of the intervals (%(default)s)'
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument('--markdown', action='store_true', help='with a row per run')
    form.add_argument('--json', action='store_true', help='all figures')
    parser.add_argument('--out', type=Path, help='file to write instead of printing')
    args = parser.parse_args(argv)
    if bool(args.labs) == bool(args.runs):
        parser.error('expected either LABs or --runs')
    names = [name for name, _ in args.runs]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        parser.error(
            f'--runs: {", ".join(twice)} occurs twice, expected all runs of an arm '
            'behind its name, NAME=PATH,PATH'
        )
    return args


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    args = parse_args(argv)
    labs = [read_results(path) for path in args.labs] or [_of_runs(args)]
    found = [
        compare(lab.arms, _against(lab, args), args.metric, args.per_class, args.level)
        for lab in labs
    ]
    pairs = list(zip(labs, found, strict=True))
    if args.json:
        text = json.dumps([_record(*pair) for pair in pairs], indent=2) + '\n'
    else:
        pages = [_page(*pair, args.markdown) for pair in pairs]
        text = '\n'.join([*([_HEAD] if args.markdown else []), *pages])
    if args.out:
        args.out.write_text(text, encoding='utf-8')
    else:
        print(text, end='')


def _of_runs(args: argparse.Namespace) -> Results:
    """Read the runs that the command line names."""
    arms = {
        name: [read_run(path, name, args.metric) for path in paths]
        for name, paths in args.runs
    }
    return Results('runs', dict.fromkeys([*arms][1:], [*arms][0]), arms)


def _against(lab: Results, args: argparse.Namespace) -> Mapping[str, str]:
    """Baseline of every arm."""
    if args.baseline is None:
        return lab.against
    others = [name for name in lab.arms if name != args.baseline]
    return dict.fromkeys(others, args.baseline)


def _record(lab: Results, found: Comparison) -> dict:
    """Put a comparison into values of JSON."""
    gains = [gain.to_dict() for gain in found.gains]
    return {'grid': lab.grid, **vars(found), 'gains': gains}


def _page(lab: Results, found: Comparison, markdown: bool) -> str:
    """Lay out a comparison."""
    parts = [f'## {lab.grid}'] if markdown else []
    parts += [gain_table(found, metric, markdown) for metric in found.metrics]
    if lines := notes(found):
        parts.append('\n'.join(f'* {line}' if markdown else line for line in lines))
    if markdown:
        parts.append(run_table(lab.arms, found.metrics[0], markdown))
        parts += _environments(lab)
    return '\n\n'.join(parts) + '\n'


def _environments(lab: Results) -> list[str]:
    """Say what the runs were made with."""
    runs = [run for group in lab.arms.values() for run in group]
    found = Counter(
        ', '.join(f'{key} {value}' for key, value in run.environment.items())
        for run in runs
        if run.environment
    )
    return [f'{count} runs: {text}.' for text, count in found.items()]


if __name__ == '__main__':
    start_command(main)
