"""The table of runs against figures computed by hand."""

import json

from s5_mm.cli.command import run_command
from tools.analysis_tools import compare_runs


def _run(folder, mious, ratios):
    folder.mkdir()
    lines = [dict(step=i + 1, mask_ratio=value) for i, value in enumerate(ratios)]
    lines += [dict(step=2 * (i + 1), mIoU=value) for i, value in enumerate(mious)]
    text = '\n'.join(json.dumps(line) for line in lines)
    (folder / 'scalars.json').write_text(text + '\n')
    return folder


def test_table(tmp_path, capsys):
    a = _run(tmp_path / 'a', [10.0, 40.0], [0.0, 0.0, 0.4, 0.6])
    b = _run(tmp_path / 'b', [50.0, 44.0], [0.0, 0.0, 0.2, 0.2])
    c = _run(tmp_path / 'c', [30.0], [])
    arguments = ['--runs', f'two={a},{b}', f'one={c}', '--last', 'mIoU']
    arguments += ['--second-half', 'mask_ratio']
    assert run_command(compare_runs.main, arguments) == 0
    # Last: 40 and 44; second half: medians 0.5 and 0.2.
    assert capsys.readouterr().out.splitlines() == [
        '| run | seeds | mIoU | mask_ratio (2nd half) |',
        '|---|---|---|---|',
        '| two | 2 | 42.00 ± 2.83 | 0.35 ± 0.21 |',
        '| one | 1 | 30.00 | – |',
    ]


def test_joined_runs_and_the_mean_of_last_values(tmp_path, capsys):
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
    arguments = ['--runs', f'joined={a}+{b}', f'one={c}', f'half={a}']
    arguments += ['--last', 'a/x', '--mean', 'a/x', 'b/x', '--second-half']
    assert run_command(compare_runs.main, arguments) == 0
    assert capsys.readouterr().out.splitlines() == [
        '| run | seeds | a/x | average |',
        '|---|---|---|---|',
        '| joined | 1 | 10.00 | 20.00 |',
        '| one | 1 | 20.00 | 10.50 |',
        '| half | 1 | 10.00 | – |',
    ]
