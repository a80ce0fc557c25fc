"""One line of a config compiles the training step, or says why it cannot."""

import copy

import pytest
import torch
from mmengine.config import Config
from torch._dynamo.utils import counters

from s5_mm.engine.hooks import CompileHook
from s5_mm.models import SemiBaseSegmentor
from s5_mm.registry import HOOKS

from ..test_models.test_segmentors.compiled import Graphs, labelled_inputs
from ..test_models.toys import toy_segmentor


class _Logger:
    def __init__(self):
        self.said = []

    def info(self, text):
        self.said.append(('info', text))

    def warning(self, text):
        self.said.append(('warning', text))


class _Runner:
    """What the hook reads of a runner."""

    def __init__(self, model, **cfg):
        self.model, self.cfg, self.logger = model, Config(cfg), _Logger()


def _model():
    torch.manual_seed(0)
    return SemiBaseSegmentor(toy_segmentor()).train()


def _broken(graph, inputs):
    raise RuntimeError('no compiler found\nlong trace')


def test_the_shipped_line_builds_the_hook():
    hook = HOOKS.build(dict(type='s5_mm.CompileHook'))
    assert hook.options == dict(backend='inductor', mode=None, dynamic=False)


def test_compiles_the_model_in_place():
    graphs = Graphs('aot_eager')
    runner = _Runner(_model())
    eager = copy.deepcopy(runner.model)
    CompileHook(backend=graphs.backend).before_train(runner)
    probes = graphs.count
    loss = runner.model.loss(*labelled_inputs(0))['loss_sup']
    assert graphs.count == probes + 1
    assert list(runner.model.state_dict()) == list(eager.state_dict())
    torch.testing.assert_close(loss, eager.loss(*labelled_inputs(0))['loss_sup'])
    [(level, text)] = runner.logger.said
    assert level == 'info'
    assert 'labelled_step of SemiBaseSegmentor' in text


def test_finds_the_model_inside_a_wrapper(monkeypatch):
    graphs = Graphs()
    model = _model()
    wrapper = torch.nn.Module()
    wrapper.module = model
    module = 's5_mm.engine.hooks.compile_hook.is_model_wrapper'
    monkeypatch.setattr(module, lambda found: found is wrapper)
    CompileHook(backend=graphs.backend).before_train(_Runner(wrapper))
    assert 'labelled_step' in vars(model)


def test_trains_eagerly_where_nothing_compiles():
    torch._dynamo.reset()
    runner = _Runner(_model())
    eager = copy.deepcopy(runner.model)
    CompileHook(backend=_broken).before_train(runner)
    [(level, text)] = runner.logger.said
    assert level == 'warning'
    for part in ('default_hooks.compile', 'no compiler found', 'C++ compiler', 'None'):
        assert part in text
    assert 'long trace' not in text
    torch._dynamo.reset()
    counters.clear()
    loss = runner.model.loss(*labelled_inputs(0))['loss_sup']
    assert loss == eager.loss(*labelled_inputs(0))['loss_sup']
    assert not counters['stats']


def test_a_process_that_cannot_compile_stops_the_others(monkeypatch):
    """Graphs with collectives on one side and none on the other could wait forever."""

    def other_failed(tensor):
        tensor.add_(1)

    monkeypatch.setattr('s5_mm.engine.hooks.compile_hook.all_reduce', other_failed)
    runner = _Runner(_model())
    CompileHook(backend=Graphs().backend).before_train(runner)
    [(level, text)] = runner.logger.said
    assert level == 'warning'
    assert 'on another process' in text
    assert 'labelled_step' not in vars(runner.model)


@pytest.mark.parametrize(
    ('arguments', 'said'),
    [
        (dict(backend='inductr'), r"compile\.backend='inductr'.*'inductor'"),
        (dict(mode='fast'), r"compile\.mode='fast'.*'max-autotune'"),
        (dict(mode='default', backend='eager'), r"compile\.mode='default'.*'eager'"),
    ],
)
def test_refuses_what_torch_does_not_know(arguments, said):
    with pytest.raises(ValueError, match=said):
        CompileHook(**arguments)


def test_refuses_a_model_without_steps():
    with pytest.raises(TypeError, match=r'Linear has no compiled steps.*compile=None'):
        CompileHook(backend='eager').before_train(_Runner(torch.nn.Linear(1, 1)))


def test_refuses_mmengines_option_beside_it():
    with pytest.raises(ValueError, match='compile=True and default_hooks.compile'):
        CompileHook(backend='eager').before_train(_Runner(_model(), compile=True))
