"""What a training step may not do, and in which precision it runs."""

import pytest
import torch
from torch._dynamo.utils import counters

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


def test_a_compiled_run_is_the_eager_run(scenes, tmp_path):
    """One line of the config: the same log and checkpoint, EMA and burn-in on."""
    short = dict(train_cfg__max_iters=5, default_hooks__checkpoint__interval=5)
    line = dict(type='s5_mm.CompileHook', backend='eager')
    torch._dynamo.reset()
    counters.clear()
    runs = [
        train(toy_config(scenes, **short), tmp_path / 'eager'),
        train(
            toy_config(scenes, default_hooks__compile=line, **short),
            tmp_path / 'compiled',
        ),
    ]
    # The probe, the burn-in's step, the teacher's and the student's.
    assert counters['stats']['unique_graphs'] == 4
    assert not counters['graph_break']
    losses = [run.message_hub.get_scalar('train/loss').data[0] for run in runs]
    assert len(losses[0]) == 5
    torch.testing.assert_close(*map(torch.tensor, losses), rtol=1e-5, atol=1e-6)
    saved = [
        torch.load(tmp_path / name / 'iter_5.pth', weights_only=True)['state_dict']
        for name in ('eager', 'compiled')
    ]
    assert list(saved[0]) == list(saved[1])
    torch.testing.assert_close(saved[1], saved[0], rtol=1e-4, atol=1e-5)
