"""Time the report of a curation run on a synthetic manifest.

    python tools/analysis_tools/benchmark_report.py [--crops 10000000] [--clusters 256]

Writes a manifest (``s5_mm.testing``), then makes its report in a process of its own on
one core, and prints the time and the memory that it takes at most.  The images of the
crops do not exist, so the time is that of the numbers and figures; pictures cost what
the images cost to decode.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from s5_mm.cli.command import CommandParser, start_command
from s5_mm.io.crop_tables.parquet import versioned
from s5_mm.testing.curation_run import draw_manifest, write_quotas

_CHUNK = 250_000
_CROPS_OF_SOURCE = 16
# As a run writes them: a row group for every part.
_ROWS_OF_GROUP = 4096


def write_manifest(
    folder: Path, crops: int, clusters: int, collections: int, classes: int
) -> None:
    """Write a work directory with a manifest and its quotas.

    Args:
        folder: The work directory.
        crops: Rows.
        clusters: M.
        collections: Number of collections.
        classes: K.
    """
    rng = np.random.default_rng(0)
    scored, filled = np.zeros((2, clusters), np.int64)
    writer = None
    for start in range(0, crops, _CHUNK):
        count = min(_CHUNK, crops - start)
        source = np.arange(count) // _CROPS_OF_SOURCE
        paths = [
            (f'collection_{n % collections:02}', f'{start:08}/image_{n:08}.jpg')
            for n in range(int(source[-1]) + 1)
        ]
        place = np.arange(count) % _CROPS_OF_SOURCE
        windows = [source, place % 4 * 512, place // 4 * 512]
        windows += [np.full(count, 512)] * 2
        table = draw_manifest(rng, paths, np.stack(windows, 1), clusters, classes)
        if writer is None:
            writer = pq.ParquetWriter(
                folder / 'manifest.parquet', versioned(table.schema), compression='zstd'
            )
        writer.write_table(table.cast(writer.schema), _ROWS_OF_GROUP)
        cluster = table['cluster'].fill_null(-1).to_numpy() + 1
        taken = np.isin(table['decision'].to_pylist(), ('selected', 'dropped'))
        scored += np.bincount(cluster, minlength=clusters + 1)[1:]
        filled += np.bincount(cluster[taken], minlength=clusters + 1)[1:]
    writer.close()
    write_quotas(folder / 'check/quotas.json', scored, filled)


#: Makes a report, then prints seconds, those of CPU, and the largest memory in MB
#: before and after.  VmHWM and not getrusage, which starts from the parent's memory.
MEASURE = """
import sys, time
from pathlib import Path
import pyarrow
pyarrow.set_cpu_count(1), pyarrow.set_io_thread_count(1)
from s5_mm.curation.report import write_report
def peak():
    lines = Path('/proc/self/status').read_text().splitlines()
    return int(dict(line.split(':') for line in lines)['VmHWM'].split()[0]) / 1024
before, start, cpu = peak(), time.perf_counter(), time.process_time()
write_report(sys.argv[1], sys.argv[2])
print(time.perf_counter() - start, time.process_time() - cpu, before, peak())
"""


def main(argv: Sequence[str] | None = None) -> None:
    """Print time, memory and size."""
    parser = CommandParser(__doc__, __file__)
    parser.add_argument('--crops', type=int, default=10_000_000)
    parser.add_argument('--clusters', type=int, default=256)
    parser.add_argument('--collections', type=int, default=12)
    parser.add_argument('--classes', type=int, default=16)
    parser.add_argument('--out', type=Path, help='keep the report in this folder')
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        work_dir = Path(folder)
        start = time.perf_counter()
        write_manifest(
            work_dir, args.crops, args.clusters, args.collections, args.classes
        )
        size = (work_dir / 'manifest.parquet').stat().st_size
        print(
            f'manifest of {args.crops:,} crops, {args.clusters} clusters: '
            f'{size / 1e9:.2f} GB, written in {time.perf_counter() - start:.0f} s'
        )
        out = args.out or work_dir / 'report'
        done = subprocess.run(
            [sys.executable, '-W', 'ignore', '-c', MEASURE, str(work_dir), str(out)],
            env={**os.environ, 'OMP_NUM_THREADS': '1'},
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise SystemExit(done.stderr[-2000:])
        seconds, cpu, before, peak = map(float, done.stdout.split()[-4:])
        size = (out / 'report.html').stat().st_size
        print(
            f'report: {seconds:.1f} s ({cpu:.1f} s of CPU), largest memory '
            f'{peak:.0f} MB, of which imports {before:.0f} MB; page of '
            f'{size / 1e6:.1f} MB'
        )
        counts = json.loads((out / 'report.json').read_text())['overview']
        print({key: n for key, n in counts.items() if key != 'reasons'})


if __name__ == '__main__':
    start_command(main)
