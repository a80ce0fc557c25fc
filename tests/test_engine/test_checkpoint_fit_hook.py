"""Loading through the runner never leaves random weights in silence."""

import argparse
import types
from pathlib import Path

import pytest
import torch
from mmengine.config import ConfigDict, DictAction
from mmengine.runner.checkpoint import _load_checkpoint_to_model

from s5_mm.checkpoints import CheckpointError
from s5_mm.cli.config import load_config
from s5_mm.engine.hooks import CheckpointFitHook
from s5_mm.models.segmentors import FixMatch
from s5_mm.registry import HOOKS
from s5_mm.testing.toy import toy_segmentor

ROOT = Path(__file__).parents[2]


def _model(seed, num_classes=6, **train_cfg):
    torch.manual_seed(seed)
    segmentor = ConfigDict(toy_segmentor(num_classes))
    model = FixMatch(segmentor, train_cfg)
    model.init_weights()
    return model


def _load(model, checkpoint, hook=None, **kwargs):
    runner = types.SimpleNamespace(model=model, _load_from='some.pth', work_dir='')
    hook = hook or CheckpointFitHook(**kwargs)
    hook.after_load_checkpoint(runner, checkpoint)
    _load_checkpoint_to_model(model, checkpoint, strict=True)


def _same(network, state, prefix=''):
    return all(torch.equal(v, state[prefix + k]) for k, v in network.items())


def test_own_checkpoint_loads_whole():
    source, target = _model(0).state_dict(), _model(1)
    _load(target, dict(state_dict=dict(source)))
    assert _same(target.state_dict(), source)


@pytest.mark.parametrize('form', ['segmentor', 'release', 'with_teacher'])
def test_other_origins_fill_student_and_teacher(form):
    source = _model(0, ema_momentum=0.9)
    state = source.student.state_dict()
    checkpoint = {
        'segmentor': dict(state_dict=dict(state)),
        'release': dict(
            model={
                'module.encoder.' + key.removeprefix('backbone.'): value
                for key, value in state.items()
                if key.startswith('backbone.')
            }
        ),
        'with_teacher': dict(state_dict=source.state_dict()),
    }[form]
    target = _model(1, ema_momentum=0.9)
    _load(target, checkpoint)
    for network in (target.student, target.teacher):
        assert _same(network.backbone.state_dict(), state, 'backbone.')


def test_other_classes_are_refused_with_both_shapes():
    checkpoint = dict(state_dict=_model(0, num_classes=4).state_dict())
    message = r'some\.pth: .*conv_seg\.weight: found \(4, 16, 1, 1\), the model has \(6'
    with pytest.raises(CheckpointError, match=message):
        _load(_model(1), checkpoint)


ADVICE = (
    '. If they are for other classes, give the model as many, or train them anew with '
    '--cfg-options default_hooks.checkpoint_fit.mismatch=skip'
)


def test_what_the_message_says_can_be_typed():
    """Word for word, into a config of this package; the layers then start anew."""
    source = _model(0, num_classes=4)
    with pytest.raises(CheckpointError) as caught:
        _load(_model(1), dict(state_dict=source.state_dict()))
    assert str(caught.value).endswith(ADVICE)
    typed = str(caught.value).partition('anew with ')[2].split()
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='+', action=DictAction)
    options = parser.parse_args(typed).cfg_options
    config = load_config(str(ROOT / 'configs/demo/fixmatch.py'), options)
    hook = HOOKS.build(config.default_hooks.checkpoint_fit)
    target = _model(1)
    before = target.student.decode_head.conv_seg.weight.clone()
    _load(target, dict(state_dict=source.state_dict()), hook)
    assert torch.equal(target.student.decode_head.conv_seg.weight, before)
    weight = source.student.decode_head.bottleneck.conv.weight
    assert torch.equal(target.student.decode_head.bottleneck.conv.weight, weight)


def test_a_backbone_of_another_size_is_not_taken_for_other_classes():
    state = dict(_model(0).state_dict())
    for name, tensor in state.items():
        if '.layers.' in name:
            state[name] = tensor.repeat(2, *[1] * (tensor.ndim - 1))
    with pytest.raises(CheckpointError, match='tensors have another') as caught:
        _load(_model(1), dict(state_dict=state))
    assert 'mismatch' not in str(caught.value)


def test_weights_with_other_parts_are_refused_whatever_the_switch_says():
    state = dict(_model(0).state_dict())
    state['student.backbone.layers.2.ls1.gamma'] = torch.ones(32)
    for mismatch in ('raise', 'skip'):
        with pytest.raises(
            CheckpointError,
            match=r'weights of DeiT III, with LayerScale '
            r'\(student.backbone.layers.2.ls1.gamma\); FixMatch has no such parameters',
        ):
            _load(_model(1), dict(state_dict=dict(state)), mismatch=mismatch)


@pytest.mark.parametrize('part', ['state_dict', 'ema_state_dict'])
def test_averaged_weights_of_a_host_run(part):
    """mmengine's EMAHook: ``module.`` before all names but the counter's."""
    source = _model(0).student.state_dict()
    averaged = {f'module.{name}': value for name, value in source.items()}
    checkpoint = {part: averaged | dict(steps=torch.tensor(3))}
    target = _model(1, ema_momentum=0.9)
    _load(target, checkpoint)
    for network in (target.student, target.teacher):
        assert _same(network.state_dict(), source)


def test_other_classes_are_skipped_on_request():
    source, target = _model(0, num_classes=4), _model(1)
    before = target.student.decode_head.conv_seg.weight.clone()
    _load(target, dict(state_dict=source.state_dict()), mismatch='skip')
    assert torch.equal(target.student.decode_head.conv_seg.weight, before)
    state = source.student.backbone.state_dict()
    assert _same(target.student.backbone.state_dict(), state)


def test_foreign_checkpoint_is_refused():
    with pytest.raises(CheckpointError, match='nothing in it'):
        _load(_model(0), dict(state_dict={'conv1.weight': torch.zeros(3)}))


def test_class_layers_that_no_file_has_filled_are_not_scored():
    state = _model(0).student.state_dict()
    without = {key: value for key, value in state.items() if 'conv_seg' not in key}
    hook, runner = CheckpointFitHook(), types.SimpleNamespace()
    _load(_model(1), dict(state_dict=dict(without)), hook)
    with pytest.raises(
        CheckpointError,
        match=r'^some\.pth lacks student\.decode_head\.conv_seg\.weight: these scores '
        r'would be .* default_hooks\.checkpoint_fit\.mismatch=skip tests it as it is',
    ):
        hook.before_test(runner)
    # A whole file afterwards, no file at all, and the switch.
    _load(_model(1), dict(state_dict=dict(state)), hook)
    hook.before_test(runner)
    CheckpointFitHook().before_test(runner)
    hook = CheckpointFitHook(mismatch='skip')
    _load(_model(1), dict(state_dict=dict(without)), hook)
    hook.before_test(runner)
