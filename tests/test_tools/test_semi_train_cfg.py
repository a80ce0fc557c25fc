"""Settings of FixMatch that make no sense end a training before its first step."""

import runpy
from pathlib import Path

import pytest

from s5_mm.cli.command import run_command

from ..test_end_to_end.toy_s4p import toy_config, write_scenes

ROOT = Path(__file__).parents[2]
KEY = 'model.semi_train_cfg'


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp('semi')
    write_scenes(folder / 'data')
    path = folder / 'toy.py'
    toy_config(folder / 'data').dump(path)
    return path


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ([f'{KEY}.conf_thresh=95'], 'semi_train_cfg.conf_thresh=95, expected 0 to 1'),
        ([f'{KEY}.conf_thresh=high'], "conf_thresh='high', expected 0 to 1"),
        (
            [f'{KEY}.conf_thresh=None', f'{KEY}.threshold.type=s5_mm.TopShare']
            + [f'{KEY}.threshold.share=1.5'],
            'semi_train_cfg.threshold.share=1.5, expected 0 to 1',
        ),
        ([f'{KEY}.ema_momentum=1.01'], 'ema_momentum=1.01, expected 0 to 1'),
        ([f'{KEY}.ema_momentum=-0.5'], 'ema_momentum=-0.5, expected 0 to 1'),
        (
            [f'{KEY}.unsup_weight=-1'],
            'unsup_weight=-1, expected at least 0 and',
        ),
        ([f'{KEY}.burn_in=1.5'], 'share of the training between 0 and 1, got 1.5'),
        ([f'{KEY}.burn_in=-2'], 'burn_in must be a number of iterations >= 0, or a '),
        ([f'{KEY}.ramp=1.0'], 'semi_train_cfg.ramp must be a number of iterations '),
        (
            [f'{KEY}.burn_in=200'],
            'burn_in=200 and ramp=0 take 200 iterations, the training has 12: unlab',
        ),
        (
            [f'{KEY}.burn_in=0.5', f'{KEY}.ramp=0.5'],
            'burn_in=0.5 and ramp=0.5 take 12 iterations, the training has 12: unlab',
        ),
        (
            [f'{KEY}.ema_momentum=None', 'model.semi_test_cfg.predict_on=teacher'],
            "semi_test_cfg.predict_on='teacher' needs an EMA teacher: set semi_train_c",
        ),
    ],
)
def test_it_is_refused_in_a_line_before_the_first_step(
    config, tmp_path, capsys, options, message
):
    main = runpy.run_path(str(ROOT / 'tools/train.py'))['main']
    work_dir = tmp_path / 'run'
    arguments = [str(config), '--work-dir', str(work_dir), '--cfg-options', *options]
    assert run_command(main, arguments) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if message in line]
    assert len(lines) == 1
    assert 'Traceback' not in lines[0]
    assert not list(work_dir.glob('*.pth'))
    for scalars in work_dir.rglob('scalars.json'):
        assert not scalars.read_text()
