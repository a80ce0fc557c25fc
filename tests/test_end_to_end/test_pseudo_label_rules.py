"""Trainings with rules that learn: resumed to the bit, and none waits for a device."""

import pytest
import torch

from s5_mm.checkpoints.comparison import checkpoint_differences, last_checkpoint

from ..support.kill_trials import run_with_kills
from .host_syncs import count_host_syncs
from .toy_s4p import toy_config, train

ALIGNMENT = dict(type='s5_mm.DistributionAlignment')


def config(scenes, threshold, **changes):
    cfg = toy_config(scenes, **changes)
    settings = dict(conf_thresh=None, threshold=threshold, alignment=ALIGNMENT)
    cfg.model.semi_train_cfg.update(settings)
    return cfg


@pytest.mark.parametrize(
    'threshold',
    [
        dict(type='s5_mm.AdaMatchThreshold', value=1.0),
        dict(type='s5_mm.RankWeight'),
    ],
    ids=lambda threshold: threshold['type'],
)
def test_killed_and_resumed_is_never_stopped(scenes, tmp_path, threshold):
    cfg = config(scenes, threshold)
    cfg.dump(tmp_path / 'toy.py')
    train(cfg, tmp_path / 'whole')
    want = last_checkpoint(tmp_path / 'whole')
    state = {
        key: value
        for key, value in want['state_dict'].items()
        if key.startswith(('threshold.', 'alignment.'))
    }
    assert len(state) == (6 if 'AdaMatch' in threshold['type'] else 5)
    assert all(value.any() for value in state.values()), 'nothing was learnt'
    ratios = want['message_hub']['log_scalars']['train/mask_ratio'].data[0]
    assert max(ratios) > 0, 'the unlabelled branch is dead'
    report = run_with_kills(tmp_path / 'toy.py', tmp_path, kills=2, max_delay=4.0)
    for work_dir in report.work_dirs:
        assert checkpoint_differences(want, last_checkpoint(work_dir)) == []


@pytest.mark.parametrize(
    'threshold',
    [
        dict(type='s5_mm.AdaMatchThreshold'),
        dict(type='s5_mm.FreeMatchThreshold', quantile=0.8),
        dict(type='s5_mm.RankWeight'),
    ],
    ids=lambda threshold: threshold['type'],
)
def test_no_host_synchronisation_between_log_points(
    scenes, tmp_path, monkeypatch, threshold
):
    # Iterations 5-7 hold no log, picture, checkpoint or validation.
    counts = count_host_syncs(monkeypatch, 4, 7)
    cfg = config(
        scenes,
        threshold,
        default_hooks__logger__interval=10,
        default_hooks__checkpoint__interval=10,
        train_cfg__val_interval=10,
        train_cfg__max_iters=10,
    )
    for custom in cfg.custom_hooks:
        custom.interval = 10
    runner = train(cfg, tmp_path)
    assert not counts
    history = runner.message_hub.get_scalar('train/loss_unsup').data[0]
    assert torch.isfinite(torch.tensor(history)).all()
