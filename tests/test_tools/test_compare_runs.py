"""The table of runs against figures computed by hand."""

import json
import subprocess
import sys
from pathlib import Path

TOOL = Path(__file__).parents[2] / 'tools/analysis_tools/compare_runs.py'


def _run(folder, mious, ratios):
    folder.mkdir()
    lines = [dict(step=i + 1, mask_ratio=value) for i, value in enumerate(ratios)]
    lines += [dict(step=2 * (i + 1), mIoU=value) for i, value in enumerate(mious)]
    text = '\n'.join(json.dumps(line) for line in lines)
    (folder / 'scalars.json').write_text(text + '\n')
    return folder


def test_table(tmp_path):
    a = _run(tmp_path / 'a', [10.0, 40.0], [0.0, 0.0, 0.4, 0.6])
    b = _run(tmp_path / 'b', [50.0, 44.0], [0.0, 0.0, 0.2, 0.2])
    c = _run(tmp_path / 'c', [30.0], [])
    done = subprocess.run(
        [sys.executable, TOOL, '--runs', f'two={a},{b}', f'one={c}', '--last', 'mIoU']
        + ['--second-half', 'mask_ratio'],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    # Last: 40 and 44; second half: medians 0.5 and 0.2.
    assert done.stdout.splitlines() == [
        '| run | seeds | mIoU | mask_ratio (2nd half) |',
        '|---|---|---|---|',
        '| two | 2 | 42.00 ± 2.83 | 0.35 ± 0.21 |',
        '| one | 1 | 30.00 | – |',
    ]


def test_joined_runs_and_the_mean_of_last_values(tmp_path):
    folders = []
    for name, value in (('a', 10.0), ('b', 30.0), ('c', 20.0)):
        folder = tmp_path / name
        folder.mkdir()
        records = [{'step': 1, 'a/x': 1.0, 'b/x': 1.0}] if name == 'c' else []
        key = 'a/x' if name == 'c' else f'{name}/x'
        records.append({'step': 2, key: value})
        text = '\n'.join(json.dumps(record) for record in records)
        (folder / 'scalars.json').write_text(text + '\n')
        folders.append(folder)
    a, b, c = folders
    done = subprocess.run(
        [sys.executable, TOOL, '--runs', f'joined={a}+{b}', f'one={c}', f'half={a}']
        + ['--last', 'a/x', '--mean', 'a/x', 'b/x', '--second-half'],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        '| run | seeds | a/x | average |',
        '|---|---|---|---|',
        '| joined | 1 | 10.00 | 20.00 |',
        '| one | 1 | 20.00 | 10.50 |',
        '| half | 1 | 10.00 | – |',
    ]
