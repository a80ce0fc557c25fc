"""Segmentation models of the release give its outputs from its files."""

import re

import pytest
import torch
from mmengine.registry import DefaultScope
from mmseg.structures import SegDataSample

from s5_mm.checkpoints import CheckpointError, convert, find_format, load_into
from s5_mm.registry import MODELS

from . import release

ARCH = dict(
    embed_dims=release.WIDTH,
    num_layers=release.DEPTH,
    num_heads=release.HEADS,
    out_indices=(0, 1, 2, 3),
)
CLASSES = dict(vaihingen=5, potsdam=5, openearthmap=9, loveda=7)
MINE = dict(CLASSES, mine=7)
SUFFIX = dict(vaihingen='', potsdam='_potsdam', openearthmap='_OpenEarthMap')
SUFFIX['loveda'] = '_loveda'


def _backbone(**kwargs):
    return dict(
        type='s5_mm.ViT',
        arch=ARCH,
        img_size=release.SIZE,
        norm_eps=1e-5,
        deferred_upsampling=True,
        **kwargs,
    )


def _head(**kwargs):
    return dict(
        type='s5_mm.UPerHead',
        in_channels=[release.WIDTH] * 4,
        in_index=[0, 1, 2, 3],
        pool_scales=release.SCALES,
        channels=release.CHANNELS,
        norm_cfg=dict(type='BN'),
        align_corners=True,
        **kwargs,
    )


def _build(config):
    with DefaultScope.overwrite_default_scope('mmseg'):
        model = MODELS.build(config)
    return model.double().eval()


def _segmentor(classes=16):
    return _build(
        dict(
            type='s5_mm.EncoderDecoder',
            backbone=_backbone(),
            decode_head=_head(num_classes=classes),
            test_cfg=dict(mode='whole'),
        )
    )


def _several(names=tuple(CLASSES), moe=True):
    backbone = _backbone()
    if moe:
        backbone.update(type='s5_mm.ViTMoE', part_features=release.PART)
    head = _head(loss_decode=dict(type='s5_mm.PixelCrossEntropy'))
    return _build(
        dict(
            type='s5_mm.MultiDatasetSegmentor',
            backbone=backbone,
            decode_head=head,
            datasets={name: dict(num_classes=MINE[name]) for name in names},
        )
    )


def _images(count=2):
    generator = torch.Generator().manual_seed(3)
    size = (count, 3, release.SIZE, release.SIZE)
    return torch.randn(size, generator=generator, dtype=torch.float64)


def _close(ours, theirs):
    torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-11)


def _upernets_logits(state, images):
    maps = release.features(state, images, 'module.encoder.')
    return release.logits(
        state,
        maps,
        'module.semsegdecoder.decode_head.',
        'module.semseghead',
        images.shape[-2:],
    )


def _ours(model, images):
    with torch.no_grad():
        return model.encode_decode(
            images, [dict(img_shape=images.shape[-2:])] * len(images)
        )


def test_pre_trained_upernet_gives_the_releases_logits():
    state = release.upernet()
    assert find_format(state).name == 'official-s5'
    model = _segmentor()
    report = load_into(model, {'model': state}, 'vit_b_s4p_upernet.pth')
    assert report.missing == report.mismatched == []
    assert sorted(report.not_used) == [
        'module.encoder.cls_token',
        'module.semsegdecoder.decode_head.conv_seg.bias',
        'module.semsegdecoder.decode_head.conv_seg.weight',
    ]
    images = _images()
    expected = _upernets_logits(state, images)
    _close(_ours(model, images), expected)
    # The settings that the format asks for are the reason.
    assert find_format(state).settings == (
        'model.backbone.norm_eps=1e-5',
        'model.decode_head.align_corners=True',
    )
    model.decode_head.align_corners = False
    assert (_ours(model, images) - expected).abs().max() > 1e-3
    model.decode_head.align_corners = True
    for layer in model.backbone.layers:
        layer.ln1.eps = layer.ln2.eps = 1e-6
    assert (_ours(model, images) - expected).abs().max() > 1e-9


def test_the_backbone_alone():
    state = {
        name.removeprefix('module.encoder.'): tensor
        for name, tensor in release.upernet().items()
        if 'encoder' in name
    }
    assert find_format(state).name == 'official-s5'
    model = _build(_backbone() | dict(deferred_upsampling=False))
    report = load_into(model, {'model': state}, 'vit_b_s4p.pth')
    assert (report.missing, report.not_used) == ([], ['cls_token'])
    images = _images()
    for ours, theirs in zip(
        model(images), release.features(state, images, ''), strict=True
    ):
        _close(ours, theirs)


@pytest.mark.parametrize('experts', [4, 0])
def test_every_data_set_of_a_moe_mdf_model_gives_the_releases_logits(experts):
    state = release.several(experts=experts)
    assert find_format(state).name == 'official-s5-mdf'
    model = _several(moe=experts > 0)
    report = load_into(model, {'model': state, 'previous_best_avg_mIoU': 0.0}, 'best')
    assert report.missing == report.mismatched == []
    dummies = [name for name in report.not_used if 'conv_seg' in name]
    assert len(dummies) == 8
    assert set(report.not_used) == {'module.encoder.cls_token', *dummies}
    images = _images(1)
    for number, name in enumerate(CLASSES):
        maps = release.features(
            state, images, 'module.encoder.', number if experts else None
        )
        own = 'OpenEarthMap' if name == 'openearthmap' else name
        expected = release.logits(
            state,
            maps,
            f'module.semsegdecoder{SUFFIX[name]}.decode_head.',
            f'module.semseghead_{own}',
            images.shape[-2:],
        )
        sample = SegDataSample(
            metainfo=dict(
                dataset_name=name,
                ori_shape=images.shape[-2:],
                img_shape=images.shape[-2:],
            )
        )
        with torch.no_grad():
            _close(model.encode_decode(images, name), expected)
            (predicted,) = model.predict(images, [sample])
        assert torch.equal(
            predicted.pred_sem_seg.data, expected.argmax(1).to(torch.int64)
        )


def test_several_data_sets_do_not_go_into_other_ones_in_silence():
    model = _several(('vaihingen', 'loveda'))
    report = load_into(model, {'model': release.several()}, 'best.pth')
    assert report.missing == []
    model = _several(('vaihingen', 'mine'), moe=False)
    with pytest.raises(CheckpointError, match=r"best.pth: it holds .* for \['vaih"):
        load_into(model, {'model': release.several(experts=0)}, 'best.pth')


def test_experts_of_unknown_data_sets_are_refused():
    state = release.several(experts=3)
    expected = (
        "it has experts [0, 1, 2] and heads for ['loveda', 'openearthmap', 'potsdam', "
        "'vaihingen']; whose the experts are is known for the release only: "
        "['vaihingen', 'potsdam', 'openearthmap', 'loveda'], in this order"
    )
    with pytest.raises(CheckpointError, match=re.escape(expected)):
        convert(state)
    with pytest.raises(CheckpointError, match=r'^best.pth: it has experts'):
        load_into(_several(), {'model': state}, 'best.pth')


def test_a_decoder_without_a_class_layer_is_named():
    state = {
        name: tensor
        for name, tensor in release.several().items()
        if 'semseghead_loveda' not in name
    }
    state = {k: v for k, v in state.items() if '.experts.' not in k}
    with pytest.raises(CheckpointError, match="is the decoder of 'loveda', but there"):
        convert(state)


def test_conversion_is_complete_and_changes_no_value():
    state = release.several()
    converted = convert(state)
    assert set(converted.source.values()) | set(converted.unused) == set(state)
    for new, old in converted.source.items():
        assert torch.equal(converted.state[new], state[old])
    assert converted.meta == {}
