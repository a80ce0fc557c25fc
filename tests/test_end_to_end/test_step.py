"""What a training step may not do, and in which precision it runs."""

import pytest
import torch

from .host_syncs import count_host_syncs
from .toy_s4p import toy_config, train


@pytest.mark.parametrize('hook', ['s5_mm.DeferredRuntimeInfoHook', 'RuntimeInfoHook'])
def test_host_synchronisations_between_log_points(scenes, tmp_path, monkeypatch, hook):
    """Ours has none; the host's hook reads every logged value: the counter counts."""
    # Iterations 5-7 hold no log, picture, checkpoint or validation.
    counts = count_host_syncs(monkeypatch, 4, 7)
    cfg = toy_config(
        scenes,
        default_hooks__runtime_info__type=hook,
        default_hooks__logger__interval=10,
        default_hooks__checkpoint__interval=10,
        train_cfg__val_interval=10,
        train_cfg__max_iters=10,
    )
    for custom in cfg.custom_hooks:
        custom.interval = 10
    train(cfg, tmp_path)
    if hook.startswith('s5_mm'):
        assert not counts
    else:
        assert counts['item'] >= 3 * 4


@pytest.mark.parametrize('dtype', ['bfloat16', 'float16'])
def test_mixed_precision_on_cpu_trains(scenes, tmp_path, dtype):
    cfg = toy_config(
        scenes,
        optim_wrapper__type='s5_mm.AmpOptimWrapper',
        optim_wrapper__dtype=dtype,
        train_cfg__max_iters=4,
    )
    seen = set()
    runner = _watched(cfg, tmp_path, seen)
    assert seen == {getattr(torch, dtype)}
    history = runner.message_hub.get_scalar('train/loss').data[0]
    assert torch.isfinite(torch.tensor(history)).all()
    assert all(p.dtype == torch.float32 for p in runner.model.parameters())


def _watched(cfg, work_dir, seen):
    from s5_mm.models import FixMatch

    plain = FixMatch.pixel_cross_entropy

    def watch(self, logits, labels):
        seen.add(logits.dtype)
        return plain(self, logits, labels)

    FixMatch.pixel_cross_entropy = watch
    try:
        return train(cfg, work_dir)
    finally:
        FixMatch.pixel_cross_entropy = plain
