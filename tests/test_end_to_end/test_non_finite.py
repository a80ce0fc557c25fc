"""A NaN in a real S4P step: nothing of it stays in student, teacher or statistics."""

import math

import pytest
import torch
from mmengine.hooks import Hook

from s5_mm.checkpoints.comparison import checkpoint_differences, last_checkpoint

from .toy_s4p import toy_config, train

BAD = 6  # iteration, counted from 1; pseudo-labels count from the fourth


class _NaNImages(Hook):
    """Give the student images of NaN in one iteration."""

    priority = 'LOWEST'

    def __init__(self):
        self.states = {}

    def before_train(self, runner):
        self.armed = False
        runner.model.student.backbone.register_forward_pre_hook(self.spoil)

    def spoil(self, module, inputs):
        return (inputs[0] * math.nan,) if self.armed and module.training else None

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.armed = runner.iter + 1 == BAD

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        state = runner.model.state_dict()
        self.states[runner.iter + 1] = {
            name: value.clone()
            for name, value in state.items()
            if 'num_batches' not in name and not name.endswith('_counts')
        }
        self.loss = outputs['loss'].item() if self.armed else getattr(self, 'loss', 0)


@pytest.mark.parametrize('dtype', [None, 'bfloat16', 'float16'])
def test_one_bad_step_of_fixmatch_leaves_no_trace(scenes, tmp_path, monkeypatch, dtype):
    from s5_mm.engine.loops import ResumableIterLoop

    spoiler = _NaNImages()
    plain = ResumableIterLoop._run

    def run(self):
        self.runner.register_hook(spoiler)
        return plain(self)

    monkeypatch.setattr(ResumableIterLoop, '_run', run)
    changes = dict(train_cfg__max_iters=8, train_cfg__val_interval=8)
    if dtype:
        changes |= dict(
            optim_wrapper__type='s5_mm.AmpOptimWrapper', optim_wrapper__dtype=dtype
        )
    train(toy_config(scenes, **changes), tmp_path)
    assert math.isnan(spoiler.loss)
    before, after = spoiler.states[BAD - 1], spoiler.states[BAD]
    student, teacher = (
        {k: v for k, v in after.items() if k.startswith(part)}
        for part in ('student.', 'teacher.')
    )
    assert any('running_mean' in name for name in student)
    assert len(teacher) == len(student)
    # The teacher moves at the start of an iteration, towards a sane student.
    assert checkpoint_differences({k: before[k] for k in student}, student) == []
    final = last_checkpoint(tmp_path)['state_dict']
    assert all(torch.isfinite(value).all() for value in final.values())
    assert checkpoint_differences(student, {k: final[k] for k in student}) != []
