"""Look at every file that a config's data sets name, before a run needs them.

    python tools/misc/verify_dataset.py CONFIG [--split all] [--full] [--json OUT]

Names each bad file with what was found and what was expected, prints the classes'
shares of the pixels per split, and exits with status 1 if something is bad.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.registry import init_default_scope

from s5_mm.cli.arguments import OptionsAction
from s5_mm.cli.command import CommandParser, start_command
from s5_mm.cli.config import load_config
from s5_mm.datasets.verification import scan
from s5_mm.registry import DATASETS

SPLITS = ('train', 'val', 'test')


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = CommandParser(__doc__, __file__)
    parser.add_argument('config', help='config file of a run')
    parser.add_argument('--split', choices=(*SPLITS, 'all'), default='all')
    parser.add_argument('--jobs', type=int, default=1, help='processes')
    parser.add_argument(
        '--full',
        action='store_true',
        help='decode the images too; without it their headers and ends are read, and '
        'every pixel of the masks',
    )
    parser.add_argument('--json', type=Path, help='write the report here')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=OptionsAction,
        help='settings to override, e.g. data_root=...',
    )
    return parser.parse_args(argv)


def sources(config: Config, split: str) -> Iterator[tuple[str, dict]]:
    """Yield name and config of every data set of a split."""
    loader = config.get(f'{split}_dataloader')
    if not loader:
        return
    yield from parts(split, loader['dataset'])


def parts(
    name: str, dataset: dict, pipeline: list | None = None
) -> Iterator[tuple[str, dict]]:
    """Take a data set apart into those that read files."""
    pipeline = dataset.get('pipeline', pipeline)
    if 'sources' in dataset:
        for source, cfg in dataset['sources'].items():
            if not isinstance(cfg, str):  # an alias names files that are seen already
                yield from parts(f'{name}/{source}', cfg, pipeline)
    elif 'datasets' in dataset:  # a ConcatDataset
        for number, cfg in enumerate(dataset['datasets']):
            yield from parts(f'{name}/{number}', cfg, pipeline)
    else:
        yield name, {**dataset, **({} if pipeline is None else {'pipeline': pipeline})}


def check(name: str, cfg: dict, args: argparse.Namespace) -> dict[str, Any]:
    """Open a data set and look at all of its files."""
    report: dict[str, Any] = {'name': name, 'samples': 0, 'bad': [], 'pixels': {}}
    try:
        dataset = DATASETS.build(cfg)
    except (ValueError, OSError) as error:
        report['bad'].append({'path': None, 'reason': str(error)})
        return report
    total, start = len(dataset), time.time()
    report['samples'], last = total, start
    histogram = np.zeros(256, np.int64)
    depth = 'full' if args.full else 'masks'
    for done, found in enumerate(scan(dataset, depth, args.jobs), 1):
        report['bad'] += [{'path': p, 'reason': r} for p, r in found.problems]
        if found.histogram is not None:
            histogram += found.histogram
        if time.time() - last > 1 or done == total:
            last = time.time()
            left = (last - start) / done * (total - done)
            print(
                f'\r{name}: {done}/{total}, {len(report["bad"])} bad, '
                f'{done / max(last - start, 1e-9):.0f}/s, ETA {left:.0f} s   ',
                end='\n' if done == total else '',
                file=sys.stderr,
                flush=True,
            )
    classes = (getattr(dataset, 'metainfo', None) or {}).get('classes') or ()
    if histogram.any():
        names = [*classes, *range(len(classes), 255), 'ignored']
        report['pixels'] = {
            str(label): int(count)
            for label, count in zip(names, histogram, strict=True)
            if count or label in classes
        }
    return report


def show(report: dict[str, Any]) -> None:
    """Print the report of one data set."""
    print(f'{report["name"]}: {report["samples"]} samples, {len(report["bad"])} bad')
    for bad in report['bad']:
        print(f'  BAD {bad["path"] or ""}: {bad["reason"]}')
    total = sum(report['pixels'].values())
    for label, count in report['pixels'].items():
        print(f'  {label:<24}{count:>16,} px {count / total:>8.2%}')


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    args = parse_args(argv)
    config = load_config(args.config, args.cfg_options)
    init_default_scope(config.get('default_scope', 'mmseg'))
    splits = SPLITS if args.split == 'all' else (args.split,)
    wanted: list[tuple[str, dict]] = []
    for split in splits:
        for name, cfg in sources(config, split):
            if all(cfg != other for _, other in wanted):  # test is val, most often
                wanted.append((name, cfg))
    if not wanted:
        print(f'{args.config}: no data set for --split {args.split}', file=sys.stderr)
        return 2
    reports = [check(name, cfg, args) for name, cfg in wanted]
    for report in reports:
        show(report)
    if args.json:
        args.json.write_text(json.dumps(reports, indent=2) + '\n')
    return 1 if any(report['bad'] for report in reports) else 0


if __name__ == '__main__':
    start_command(main)
