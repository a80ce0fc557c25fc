from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from s5_mm.cli.command import run_command
from s5_mm.visualization import categorical_palette, plot_runs, read_scalars
from s5_mm.visualization.curves import band, smooth
from tools.analysis_tools import plot_runs as tool


def _write(folder, records, start='20260101_000000', tail=''):
    path = folder / start / 'vis_data' / 'scalars.json'
    path.parent.mkdir(parents=True)
    path.write_text(''.join(json.dumps(r) + '\n' for r in records) + tail)
    return folder


def _run(folder, offset=0.0):
    records = [
        dict(lr=0.1, loss=2.0 / step + offset, iter=step, step=step, note='text')
        for step in range(10, 110, 10)
    ]
    records += [dict(mIoU=30.0 + offset, step=50), dict(mIoU=40.0 + offset, step=100)]
    return _write(folder, records)


def test_read_scalars(tmp_path):
    run = _run(tmp_path / 'a')
    series = read_scalars(run)
    assert series['mIoU'] == {50: 30.0, 100: 40.0}
    assert series['loss'][20] == pytest.approx(0.1)
    assert set(series) == {'lr', 'loss', 'mIoU'}
    assert read_scalars(next(run.rglob('scalars.json'))) == series
    assert read_scalars(next(run.rglob('vis_data'))) == series


def test_resumed_run_and_killed_line(tmp_path):
    run = tmp_path / 'a'
    _write(run, [dict(loss=1.0, step=1), dict(loss=2.0, step=2)], '1', '{"loss": 3')
    _write(run, [dict(loss=2.5, step=2), dict(loss=3.5, step=3)], '2')
    assert read_scalars(run)['loss'] == {1: 1.0, 2: 2.5, 3: 3.5}


def test_bad_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'no scalars\.json there; expected'):
        read_scalars(tmp_path)
    path = tmp_path / 'scalars.json'
    path.write_text('{"loss": 1, "step": 1}\nnot json\n{"loss": 1, "step": 2}\n')
    with pytest.raises(ValueError, match=r'scalars\.json, line 2: .*a JSON object'):
        read_scalars(path)
    path.write_text('[1]\n{"loss": 1, "step": 2}\n')
    with pytest.raises(ValueError, match='line 1: a list; expected'):
        read_scalars(path)


def test_band():
    runs = [{'a': {1: 1.0, 2: 4.0, 3: 9.0}}, {'a': {1: 3.0, 2: 0.0}}, {'b': {1: 0.0}}]
    result = band(runs, 'a')
    assert result.steps.tolist() == [1, 2]
    assert result.mean.tolist() == [2.0, 2.0]
    assert result.low.tolist() == [1.0, 0.0]
    assert result.high.tolist() == [3.0, 4.0]
    assert len(band(runs, 'none').steps) == 0


def test_smooth():
    values = np.random.default_rng(0).random(17)
    for window in (1, 2, 3, 5, 40):
        half = window // 2 if window > 1 else 0
        slow = [values[max(i - half, 0) : i + half + 1].mean() for i in range(17)]
        np.testing.assert_allclose(smooth(values, window), slow, atol=1e-12)
    assert smooth(np.zeros(0), 5).shape == (0,)


def test_plot_runs(tmp_path):
    runs = {
        'supervised': [_run(tmp_path / 'a'), _run(tmp_path / 'b', 1.0)],
        'ours': [_run(tmp_path / 'c', 2.0)],
    }
    out = plot_runs(runs, ['loss', 'mIoU'], tmp_path / 'x' / 'c.png', 'two', window=3)
    image = cv2.imread(str(out))
    assert image.shape[1] > 1.5 * image.shape[0]
    assert (image < 250).any(axis=2).mean() > 0.02
    for color in categorical_palette(2):  # a curve each
        assert (image[..., ::-1] == color).all(axis=2).sum() > 100
    with pytest.raises(ValueError, match=r"\['acc'\] are in no run; the runs have"):
        plot_runs(runs, ['loss', 'acc'], tmp_path / 'd.png')


def test_command(tmp_path, capsys):
    _run(tmp_path / 'a')
    _run(tmp_path / 'b', 1.0)
    out = tmp_path / 'curves.png'
    arguments = ['--keys', 'mIoU', '--out', str(out), '--runs']
    paths = f'{tmp_path / "a"},{tmp_path / "b"}'
    assert run_command(tool.main, [*arguments, f'ours={paths}']) == 0
    assert str(out) in capsys.readouterr().out
    assert cv2.imread(str(out)) is not None
    assert run_command(tool.main, [*arguments, 'ours']) == 2
    assert "'ours' found, expected name=path" in capsys.readouterr().err
