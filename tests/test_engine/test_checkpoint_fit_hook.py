"""Loading through the runner never leaves random weights in silence."""

import types

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.runner.checkpoint import _load_checkpoint_to_model

from s5_mm.checkpoints import CheckpointError
from s5_mm.engine.hooks import CheckpointFitHook
from s5_mm.models.segmentors import FixMatch
from s5_mm.testing.toy import toy_segmentor


def _model(seed, num_classes=6, **train_cfg):
    torch.manual_seed(seed)
    segmentor = ConfigDict(toy_segmentor(num_classes))
    model = FixMatch(segmentor, train_cfg)
    model.init_weights()
    return model


def _load(model, checkpoint, **kwargs):
    runner = types.SimpleNamespace(model=model, _load_from='some.pth', work_dir='')
    CheckpointFitHook(**kwargs).after_load_checkpoint(runner, checkpoint)
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
