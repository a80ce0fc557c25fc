"""s5_mm.TimmBackbone in segmentors of mmseg and in FixMatch."""

import copy

import pytest
import torch
from mmengine.registry import init_default_scope

from s5_mm.checkpoints import CheckpointError, load_into
from s5_mm.models import EncoderDecoder
from s5_mm.models.backbones import TimmBackbone
from s5_mm.registry import MODELS

from .timm_toys import LITE, build, pixels, timm, whole_model


def _head(type_='mmseg.FCNHead', **kwargs):
    return dict(
        type=type_,
        channels=8,
        num_classes=3,
        norm_cfg=dict(type='BN'),
        dropout_ratio=0.0,
        align_corners=False,
        **kwargs,
    )


def _segmentor(head, backbone=None, type_='s5_mm.EncoderDecoder', **kwargs):
    init_default_scope('mmseg')  # whatever ran before in this process
    default = dict(
        type='s5_mm.TimmBackbone', model=LITE, out_indices=(1, 2, 3), frozen_stages=2
    )
    return MODELS.build(
        dict(
            type=type_,
            backbone=dict(default, **(backbone or {})),
            decode_head=head,
            train_cfg=dict(),
            test_cfg=dict(mode='whole'),
            **kwargs,
        )
    )


@pytest.mark.parametrize(
    'head',
    [
        _head(num_convs=1, in_index=0),
        _head('s5_mm.UPerHead', in_index=[0, 1, 2]),
        _head('mmseg.FPNHead', in_index=[0, 1, 2], feature_strides=[4, 8, 16]),
        _head('mmseg.SegformerHead', in_index=[0, 1, 2]),
    ],
    ids=lambda head: head['type'],
)
def test_heads_may_leave_the_channels_out(head):
    model = _segmentor(copy.deepcopy(head)).eval()
    assert isinstance(model, EncoderDecoder)
    with torch.no_grad():
        assert model.encode_decode(pixels(), [dict(img_shape=(64, 64))] * 2).shape == (
            2,
            3,
            64,
            64,
        )


def test_mmsegs_own_segmentor_takes_it():
    head = _head(in_channels=40, in_index=1, num_convs=1)
    model = _segmentor(head, type_='mmseg.EncoderDecoder').eval()
    with torch.no_grad():
        assert model.encode_decode(pixels(), [dict(img_shape=(64, 64))] * 2).shape == (
            2,
            3,
            64,
            64,
        )


def test_a_neck_for_other_channels_is_refused():
    neck = dict(type='mmseg.FPN', in_channels=[8, 8, 8], out_channels=8, num_outs=3)
    with pytest.raises(ValueError, match=r'neck\.in_channels.*\[24, 40, 112\]'):
        _segmentor(_head(in_channels=8, in_index=0), neck=neck)


@pytest.mark.parametrize('kind', ['timm', 'segmentor', 'host'])
def test_load_from_fills_the_backbone_of_a_segmentor(kind):
    whole = whole_model(LITE)
    model = _segmentor(_head(num_convs=1, in_index=0))
    state = whole.state_dict()
    if kind == 'segmentor':
        other = _segmentor(_head(num_convs=1, in_index=0))
        load_into(other, state, 'file')
        state = other.state_dict()
    elif kind == 'host':  # of mmseg's TIMMBackbone
        state = {f'backbone.timm_model.{k}': v for k, v in state.items()}
    report = load_into(model, state, 'file')
    own = model.backbone.timm_model.state_dict()
    wanted = whole.state_dict()
    assert all(torch.equal(value, wanted[name]) for name, value in own.items())
    left = {name.partition('.')[0] for name in report.missing}
    assert left == (set() if kind == 'segmentor' else {'decode_head'})


def test_weights_of_a_head_alone_load_into_a_segmentor():
    model = _segmentor(_head(num_convs=1, in_index=0))
    state = {
        name: value + 1
        for name, value in model.state_dict().items()
        if name.startswith('decode_head.')
    }
    report = load_into(model, dict(state), 'file')
    assert report.loaded == list(state)


def test_fixmatch_with_a_teacher_keeps_what_is_frozen():
    init_default_scope('mmseg')
    config = dict(
        type='s5_mm.FixMatch',
        segmentor=dict(
            type='s5_mm.EncoderDecoder',
            backbone=dict(
                type='s5_mm.TimmBackbone',
                model=LITE,
                out_indices=(1, 2),
                frozen_stages=2,
            ),
            decode_head=_head(num_convs=1, in_index=0),
        ),
        semi_train_cfg=dict(ema_momentum=0.5),
    )
    model = MODELS.build(config).train()
    load_into(model, whole_model(LITE).state_dict(), 'file')
    student = model.student.backbone.timm_model
    teacher = model.teacher.backbone.timm_model
    assert torch.equal(
        student.blocks[1][0].conv_dw.weight, teacher.blocks[1][0].conv_dw.weight
    )
    assert not student.blocks[0].training
    assert student.blocks[2].training
    assert not teacher.blocks[2].training


def test_it_is_built_without_memory():
    with torch.device('meta'):
        backbone = TimmBackbone(LITE, frozen_stages=3)
    assert {p.device.type for p in backbone.parameters()} == {'meta'}


def test_it_compiles_without_a_break():
    backbone = build(LITE, frozen_stages=1).train()
    graph = torch._dynamo.explain(backbone)(pixels())
    assert graph.graph_break_count == 0


def test_another_backbone_is_refused_in_a_segmentor():
    model = _segmentor(_head(num_convs=1, in_index=0))
    state = {
        f'backbone.timm_model.{name}': value
        for name, value in timm.create_model('resnet18').state_dict().items()
    }
    with pytest.raises(CheckpointError, match=f"not weights of timm's {LITE}"):
        load_into(model, state, 'file')
