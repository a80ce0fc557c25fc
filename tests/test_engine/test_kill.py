"""SIGKILL at random moments, again and again: the end is the same to the bit."""

from s5_mm.checkpoints.comparison import checkpoint_differences, last_checkpoint

from ..support.kill_trials import TrainingChild, run_with_kills
from .toy import PRELOAD, toy_config

KILLS = 24


def test_killed_again_and_again_ends_to_the_bit(tmp_path):
    # Half of the time goes into writing checkpoints, so many kills fall into one.
    config = toy_config(
        train_cfg__max_iters=60,
        default_hooks__checkpoint__interval=2,
        train_dataloader__dataset__delay=0.002,
    )
    whole = TrainingChild(config, tmp_path / 'whole', preload=PRELOAD)
    assert whole.finish() == 0
    report = run_with_kills(
        config,
        tmp_path / 'killed',
        kills=KILLS,
        max_delay=0.5,
        overrides=[{'train_dataloader.num_workers': n} for n in (0, 0, 2)],
        preload=PRELOAD,
    )
    assert report.kills >= KILLS
    assert len(set(report.positions)) > KILLS / 4  # it went on in between
    expected = last_checkpoint(tmp_path / 'whole')
    assert expected['meta']['iter'] == 60
    for work_dir in report.work_dirs:
        assert checkpoint_differences(expected, last_checkpoint(work_dir)) == []
        assert not list(work_dir.glob('*.tmp-*'))
