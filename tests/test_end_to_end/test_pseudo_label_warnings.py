"""Warnings of a training: once, through interruptions, and by one of the processes."""

import pytest

from ..support.distributed import run_ranks
from .toy_s4p import toy_config, train

TEXT = 'of the pixels count with conf_thresh=1.0, the unlabelled branch learns nothing'


def _config(scenes, **changes):
    cfg = toy_config(
        scenes,
        model__semi_train_cfg__conf_thresh=1.0,
        model__semi_train_cfg__burn_in=1,
        default_hooks__checkpoint__interval=5,
        train_cfg__val_interval=100,
        **changes,
    )
    (stats,) = (hook for hook in cfg.custom_hooks if 'Stats' in hook.type)
    stats.update(interval=2, patience=2)
    cfg.custom_hooks = [stats]
    return cfg


def _said(work_dir):
    logs = sorted(work_dir.glob('*/*.log'))
    return [log.read_text().count(TEXT) for log in logs]


def test_it_warns_once(scenes, tmp_path):
    train(_config(scenes), tmp_path)
    assert _said(tmp_path) == [1]


@pytest.mark.parametrize(('stop', 'first', 'second'), [(3, 0, 1), (5, 1, 0)])
def test_a_resumed_run_knows_what_it_has_said(scenes, tmp_path, stop, first, second):
    """The warning is due after the second reading, at iteration 4."""
    train(_config(scenes, train_cfg__max_iters=stop), tmp_path / 'run')
    assert _said(tmp_path / 'run') == [first]
    train(_config(scenes), tmp_path / 'run', resume=True)
    # Runs that start in the same second share their log.
    assert sum(_said(tmp_path / 'run')) == first + second


def _train(rank, world, scenes, work_dir):
    cfg = _config(scenes, launcher='pytorch', env_cfg__dist_cfg__backend='gloo')
    cfg.train_dataloader.sampler.shares = [2, 2]
    cfg.train_dataloader.batch_size = 4
    runner = train(cfg, work_dir)
    return runner.model.module.label_counts


def test_two_processes_warn_once_and_count_alike(scenes, tmp_path):
    alone = train(_config(scenes), tmp_path / 'alone').model.label_counts
    both = run_ranks(_train, 2, tmp_path, scenes, tmp_path / 'both')
    assert all(counts.tolist() == alone.tolist() for counts in both)
    assert _said(tmp_path / 'both') == [1]
