"""The main job itself: killed and resumed equals never stopped, to the bit."""

import json

import pytest

from s5_mm.checkpoints.comparison import checkpoint_differences, last_checkpoint

from ..support.kill_trials import run_with_kills
from .toy_s4p import toy_config, train


@pytest.fixture(scope='module')
def uninterrupted(scenes, tmp_path_factory):
    work_dir = tmp_path_factory.mktemp('whole')
    cfg = toy_config(scenes)
    cfg.dump(work_dir / 'toy.py')
    train(cfg, work_dir)
    return work_dir


def test_run_exercises_what_is_compared(uninterrupted):
    final = last_checkpoint(uninterrupted)
    assert final['meta']['iter'] == 12
    history = final['message_hub']['log_scalars']
    ratios = history['train/mask_ratio'].data[0]
    assert len(ratios) == 9, 'the burn-in is three iterations'
    assert max(ratios) > 0, 'the unlabelled branch is dead'
    keys = final['state_dict']
    assert any(key.startswith('teacher.') for key in keys)
    ledger = (uninterrupted / 'bad_images.jsonl').read_text().splitlines()
    paths = [json.loads(line)['path'] for line in ledger]
    assert len(paths) == len(set(paths)) > 0


def test_killed_again_and_again(uninterrupted, tmp_path):
    workers = [{'train_dataloader.num_workers': n} for n in (0, 2, 1)]
    overrides = [
        {**worker, 'train_dataloader.persistent_workers': False} for worker in workers
    ]
    report = run_with_kills(
        uninterrupted / 'toy.py', tmp_path, kills=8, max_delay=3.0, overrides=overrides
    )
    assert report.kills == 8
    assert report.work_dirs
    want = last_checkpoint(uninterrupted)
    for work_dir in report.work_dirs:
        assert checkpoint_differences(want, last_checkpoint(work_dir)) == []
