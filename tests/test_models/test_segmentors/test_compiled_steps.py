"""torch.compile of a training step: one graph a step, and eager's numbers."""

import copy

import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.optim import OptimWrapper

from s5_mm.models import FixMatch, SemiBaseSegmentor

from ..toys import toy_segmentor
from .compiled import Graphs, crops, fixmatch, labelled_inputs
from .multi_dataset import build, total


def _train(model, batches):
    """Real training steps; yields what is logged after each."""
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-2)
    wrapper = OptimWrapper(optimizer)
    hub = MessageHub.get_current_instance()
    for iteration, data in enumerate(batches):
        hub.update_info('iter', iteration)
        yield model.train_step(data, wrapper)
    hub.update_info('iter', 0)


def test_two_hundred_iterations_compile_each_step_once():
    """Burn-in that ends, CutMix, EMA teacher, drop path; then a batch of other size."""
    graphs = Graphs()
    model = fixmatch(ema_momentum=0.9, burn_in=3)
    model.compile_steps(backend=graphs.backend, dynamic=False)
    seen, ratios = [], []
    for logged in _train(model, (crops(seed) for seed in range(199))):
        seen.append(graphs.count)
        ratios.append(float(logged.get('mask_ratio', -1)))
    # The labelled step, then the teacher's and the student's; none again.
    assert seen == [1] * 3 + [3] * 196
    assert ratios[:3] == [-1] * 3
    assert any(0 < ratio < 1 for ratio in ratios)
    list(_train(model, [crops(199, count=3)]))  # 'iter' 0: the burn-in's step
    assert graphs.count == 4
    assert not graphs.breaks


class _ReadsBack(SemiBaseSegmentor):
    def labelled_loss(self, logits, labels):
        loss = super().labelled_loss(logits, labels)
        return loss if loss.item() > 0 else loss * 2


class _Counts(SemiBaseSegmentor):
    steps = 0

    def labelled_loss(self, logits, labels):
        self.steps += 1
        return super().labelled_loss(logits, labels) * self.steps


@pytest.mark.parametrize('cls', [SemiBaseSegmentor, _ReadsBack, _Counts])
def test_counter_sees_a_graph_break_and_a_number_that_changes(cls):
    graphs = Graphs()
    model = cls(toy_segmentor()).train()
    model.compile_steps(backend=graphs.backend, dynamic=False)
    for seed in range(3):
        data = labelled_inputs(seed)
        model.loss(*data)['loss_sup'].backward()
    assert graphs.count == {SemiBaseSegmentor: 1, _ReadsBack: 2, _Counts: 3}[cls]
    assert bool(graphs.breaks) == (cls is _ReadsBack)


def test_auxiliary_heads_stay_eager_and_get_their_gradient():
    graphs = Graphs()
    torch.manual_seed(0)
    eager = SemiBaseSegmentor(toy_segmentor(auxiliary=True)).train()
    compiled = copy.deepcopy(eager)
    compiled.compile_steps(backend=graphs.backend, dynamic=False)
    for model in (eager, compiled):
        total(model.loss(*labelled_inputs(0))).backward()
    assert graphs.count == 1
    assert not graphs.breaks
    for own, other in zip(compiled.parameters(), eager.parameters(), strict=True):
        torch.testing.assert_close(own.grad, other.grad)


def test_a_compiled_model_has_the_same_keys_and_copies_compute_with_their_own():
    graphs = Graphs()
    model = SemiBaseSegmentor(toy_segmentor()).train()
    keys = list(model.state_dict())
    model.compile_steps(backend=graphs.backend, dynamic=False)
    assert list(model.state_dict()) == keys
    twin = copy.deepcopy(model)
    for parameter in twin.student.decode_head.conv_seg.parameters():
        torch.nn.init.zeros_(parameter)
    uniform = twin.loss(*labelled_inputs(0))['loss_sup']
    torch.testing.assert_close(uniform, torch.tensor(4.0).log())
    assert model.loss(*labelled_inputs(0))['loss_sup'] != uniform


def test_every_named_step_exists():
    for cls in (SemiBaseSegmentor, FixMatch, type(build(names='a'))):
        assert cls.compiled_steps
        assert all(callable(getattr(cls, name)) for name in cls.compiled_steps)
