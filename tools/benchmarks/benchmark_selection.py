"""Time the selection of crops next to a sort of the whole table.

    OMP_NUM_THREADS=1 python -m tools.benchmarks.benchmark_selection

Draws scored crops, selects a tenth of them with quotas (Eq. 2-3), and does the same
with one ``np.lexsort`` of the whole table.  Each runs in a process of its own with one
thread, the two in turn; the sets must be the same, or the command ends with 3.  Prints
smallest and largest time, and the largest memory of a process, with the interpreter's
0.1 GB and the table.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from s5_mm.cli.command import CommandParser, start_command
from s5_mm.curation.selection.quotas import fill_quotas
from s5_mm.curation.selection.ranking import STRATEGIES, Crops, find_strategy
from s5_mm.curation.selection.selection import select
from s5_mm.io.crop_tables.run_names import QUOTA_POLICIES
from s5_mm.io.hashing import mix64

WAYS = {'select': 'select', 'sort': 'lexsort'}
_BATCH = 2**20


def draw(start: int, stop: int, clusters: int, ties: bool) -> Crops:
    """Draw some crops of a table, the same ones whatever the batch.

    Args:
        start: First row.
        stop: Row behind the last one.
        clusters: M; the last ones have few crops.
        ties: A quarter of the entropies are exactly 0, as flat images have them.

    Returns:
        The crops; one in 64 may not be chosen.
    """
    key = mix64(np.arange(start, stop, dtype=np.uint64) + np.uint64(1))
    draws = mix64(key)
    entropy = (draws >> np.uint64(40)).astype(np.float32) * np.float32(2.7 / 2**24)
    if ties:
        entropy[(draws >> np.uint64(38)) % np.uint64(4) == 0] = 0
    unit = (draws % np.uint64(2**20)).astype(np.float32) / np.float32(2**20)
    cluster = (unit * (2 - unit) * clusters).astype(np.int16)
    cluster = np.minimum(cluster, clusters - 1)
    eligible = (draws >> np.uint64(32)) % np.uint64(64) > 0
    return Crops(entropy, cluster, key, eligible)


def whole(args: argparse.Namespace) -> Crops:
    """Draw the table, without holding it twice."""
    types = np.float32, np.int16, np.uint64, bool
    table = Crops(*(np.empty(args.rows, kind) for kind in types))
    for start in range(0, args.rows, _BATCH):
        stop = min(start + _BATCH, args.rows)
        batch = draw(start, stop, args.clusters, args.ties)
        for column, part in zip(table, batch, strict=True):
            column[start:stop] = part
    return table


def sort_select(
    crops: Crops, counts: list[int], args: argparse.Namespace
) -> np.ndarray:
    """Select with a sort of the whole table.

    Args:
        crops: The table.
        counts: Labelled crops of every cluster.
        args: Arguments of the command.

    Returns:
        bool (n,), whether a crop is chosen.

    Raises:
        SystemExit: For the policy ``'best'``, which one sort does not settle.
    """
    if args.policy == 'best':
        raise SystemExit('--policy best has no control, use --ways select')
    strategy = find_strategy(args.strategy)
    rows = np.flatnonzero(crops.may_be_chosen())
    some = Crops(*(column[rows] for column in crops[:3]))
    groups = some.cluster if strategy.quotas else np.zeros(len(rows), np.int16)
    weights = counts if strategy.quotas else [1]
    available = np.bincount(groups, minlength=len(weights))
    number = args.rows // args.share
    filled = fill_quotas(number, weights, available.tolist(), args.policy).filled
    rank = strategy.rank(some.entropy, some.key, args.seed)
    order = np.lexsort((some.key, rank, groups))
    chosen = np.zeros(len(crops.key), bool)
    for start, count in zip(np.cumsum(available) - available, filled, strict=True):
        chosen[rows[order[start : start + count]]] = True
    return chosen


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Select once, in this process.

    Args:
        args: Arguments of the command, with one way and one number of rows.

    Returns:
        Seconds of the selection, GB at most, number and hash of what is
        chosen.
    """
    counts = [100 + 37 * m % 500 for m in range(args.clusters)]
    number = args.rows // args.share
    options = args.strategy, args.policy, args.seed
    table = whole(args)
    start = time.perf_counter()
    if args.way == 'sort':
        chosen = sort_select(table, counts, args)
    else:
        chosen = select(table, counts, number, *options).chosen
    seconds = time.perf_counter() - start
    return {
        'seconds': seconds,
        'peak': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9,
        'count': int(chosen.sum()),
        'set': hashlib.sha256(chosen).hexdigest(),
    }


def run(args: argparse.Namespace, rows: int, way: str) -> dict[str, Any]:
    """Measure in a process of its own.

    Args:
        args: Arguments of the command.
        rows: Crops of the table.
        way: One of :data:`WAYS`.

    Returns:
        See :func:`measure`.

    Raises:
        SystemExit: If it fails.
    """
    child = {**vars(args), 'rows': rows, 'way': way}
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', str(Path(__file__)), '--child'],
        input=json.dumps(child),
        env={**os.environ, 'OMP_NUM_THREADS': '1', 'OPENBLAS_NUM_THREADS': '1'},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    return json.loads(done.stdout)


def main(argv: list[str] | None = None) -> int:
    """Print times and memory; 3 if the sets differ."""
    parser = CommandParser(__doc__, __file__)
    parser.add_argument('--rows', type=int, nargs='+', default=[10_000_000, 50_000_000])
    parser.add_argument('--share', type=int, default=10, help='one in SHARE is chosen')
    parser.add_argument('--clusters', type=int, default=100)
    parser.add_argument('--strategy', choices=STRATEGIES, default='s5')
    parser.add_argument('--policy', choices=QUOTA_POLICIES, default='redistribute')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--ties', action='store_true', help='a quarter of zeros')
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--ways', nargs='+', choices=WAYS, default=list(WAYS))
    args = parser.parse_args(argv)
    same = True
    for rows in args.rows:
        runs: dict[str, list[dict[str, Any]]] = {way: [] for way in args.ways}
        for _ in range(args.rounds):
            for way in args.ways:
                runs[way].append(run(args, rows, way))
        print(
            f'{rows:,} crops ({rows * 15 / 1e9:.2f} GB), {args.strategy}, '
            f'{args.policy}, load {os.getloadavg()[0]:.1f}'
        )
        for way, found in runs.items():
            times = [one['seconds'] for one in found]
            most = max(one['peak'] for one in found)
            print(f'  {WAYS[way]:16}{min(times):7.2f}-{max(times):.2f} s{most:8.2f} GB')
        sets = {(one['count'], one['set']) for found in runs.values() for one in found}
        counts = sorted({count for count, _ in sets})
        print(f'  {len(sets)} set(s), of {", ".join(map(str, counts))} crops')
        same &= len(sets) == 1
    return 0 if same else 3


if __name__ == '__main__':
    if sys.argv[1:] == ['--child']:
        print(json.dumps(measure(argparse.Namespace(**json.load(sys.stdin)))))
    else:
        start_command(main)
