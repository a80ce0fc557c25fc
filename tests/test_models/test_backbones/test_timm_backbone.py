"""TimmBackbone: maps, frozen stages and weights of timm's own models."""

import copy
import sys
import warnings

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope

from s5_mm.checkpoints import load_into, write_safetensors
from s5_mm.models.backbones import TimmBackbone

from .timm_toys import FAMILIES, LITE, build, pixels, whole_model

ANY = pytest.mark.parametrize('name', FAMILIES)


@ANY
def test_maps_have_the_channels_and_strides_that_are_said(name):
    backbone, x = build(name), pixels()
    maps = backbone(x)
    assert [m.shape[1] for m in maps] == list(backbone.feature_channels)
    assert [x.shape[-1] // m.shape[-1] for m in maps] == list(backbone.strides)
    assert all(m.is_contiguous() for m in maps)
    assert [m.shape[2:] for m in maps] == [(64 // s, 64 // s) for s in backbone.strides]


@ANY
def test_every_parameter_is_trained(name):
    """None is left over of stages that no map needs, at which DDP would stop."""
    backbone = build(name)
    sum(m.square().mean() for m in backbone(pixels())).backward()
    assert [n for n, p in backbone.named_parameters() if p.grad is None] == []


@ANY
@pytest.mark.parametrize('kind', ['pth', 'safetensors'])
def test_features_are_those_of_timms_model_with_the_weights(name, kind, tmp_path):
    sizes = {'dynamic_img_size': True} if name.startswith(('vit', 'swin')) else {}
    whole, path = whole_model(name, **sizes), tmp_path / f'weights.{kind}'
    if kind == 'pth':
        torch.save({'state_dict': whole.state_dict()}, path)
    else:
        write_safetensors(path, {k: v.clone() for k, v in whole.state_dict().items()})
    backbone = build(name, init_cfg=dict(type='Pretrained', checkpoint=str(path)))
    backbone.init_weights()
    x = pixels()
    with torch.no_grad():
        wanted = whole.forward_intermediates(
            x, indices=list(FAMILIES[name][0]), intermediates_only=True
        )
        found = backbone.eval()(x)
    assert len(found) == 2
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6)


@ANY
def test_stages_are_those_of_the_forward_pass(name):
    assert build(name)._stages == [s.split() for s in FAMILIES[name][1]]


@ANY
def test_what_is_frozen_has_no_gradient_and_stays_in_eval_mode(name):
    stages = [s.split() for s in FAMILIES[name][1]]
    for frozen in range(-1, len(stages)):
        backbone = build(name, frozen_stages=frozen).train()
        parts = [part for stage in stages[: frozen + 1] for part in stage]

        def inside(path, parts=tuple(parts)):
            return any(path == part or path.startswith(f'{part}.') for part in parts)

        for path, parameter in backbone.timm_model.named_parameters():
            assert parameter.requires_grad is not inside(path), path
        for path, module in backbone.timm_model.named_modules():
            assert module.training is not inside(path), path
        assert not any(m.training for m in backbone.eval().modules())


def test_frozen_statistics_and_drop_path_do_not_move():
    backbone = build('resnet18', frozen_stages=1, drop_path_rate=0.5).train()
    before = copy.deepcopy(backbone.state_dict())
    first, again = (backbone(pixels())[0] for _ in range(2))
    assert torch.equal(first, again)
    changed = {
        name.removeprefix('timm_model.').partition('.')[0]
        for name, value in backbone.state_dict().items()
        if not torch.equal(value, before[name])
    }
    assert changed == {'layer2'}


def test_drop_path_reaches_timm():
    dropped, kept = (
        TimmBackbone('convnext_atto', (0, 1), drop_path_rate=rate) for rate in (0.5, 0)
    )
    rates = [m.drop_prob for m in dropped.modules() if hasattr(m, 'drop_prob')]
    assert max(rates) > 0.1
    assert not [m for m in kept.modules() if hasattr(m, 'drop_prob')]


def test_model_args_reach_timm():
    backbone = TimmBackbone('resnet18', (1,), model_args=dict(in_chans=4))
    assert backbone(torch.randn(1, 4, 32, 32))[0].shape == (1, 64, 8, 8)


@pytest.mark.parametrize('name', [LITE, 'resnet18', 'vit_tiny_patch16_224'])
def test_recomputing_stages_changes_no_gradient(name):
    """Also behind frozen stages, whose output needs no gradient."""
    grads = []
    for with_cp in (False, True):
        backbone = build(name, with_cp=with_cp, frozen_stages=1).eval()
        sum(m.square().mean() for m in backbone(pixels())).backward()
        grads.append([p.grad for p in backbone.parameters() if p.requires_grad])
    assert all(grad is not None for grad in grads[1])
    torch.testing.assert_close(*grads)


@pytest.mark.parametrize('name', [LITE, 'swin_tiny_patch4_window7_224'])
def test_channels_last_is_the_same_in_other_memory(name):
    plain, last = (build(name, channels_last=flag).eval() for flag in (False, True))
    last.load_state_dict(plain.state_dict())
    x = pixels()
    with torch.no_grad():
        for a, b in zip(plain(x), last(x), strict=True):
            assert b.is_contiguous(memory_format=torch.channels_last)
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_layer_decay_follows_the_stages():
    backbone = build('resnet18', frozen_stages=0)
    init_default_scope('mmseg')
    wrapper = build_optim_wrapper(
        backbone,
        dict(
            type='s5_mm.AmpOptimWrapper',
            dtype='auto',
            optimizer=dict(type='AdamW', lr=1.0, weight_decay=0.1),
            constructor='s5_mm.LayerDecayOptimWrapperConstructor',
            paramwise_cfg=dict(layer_decay_rate=0.5),
        ),
    )
    rates = {
        id(p): group['lr'] for group in wrapper.optimizer.param_groups
        for p in group['params']
    }  # fmt: skip
    found = {
        name.split('.')[1]: rates[id(p)]
        for name, p in backbone.named_parameters()
        if p.requires_grad
    }
    # Stem, layer1, layer2, and what follows the backbone: 0.5 ** (3 - depth).
    assert found == {'layer1': 0.25, 'layer2': 0.5}
    assert backbone.get_layer_depth(
        'backbone.timm_model.conv1.weight', 'backbone.'
    ) == (
        0,
        4,
    )
    assert backbone.get_layer_depth('decode_head.conv_seg.bias', 'backbone.') == (3, 4)


def test_timms_exceptions_from_weight_decay_are_kept():
    exempt = build('vit_tiny_patch16_224').no_weight_decay()
    assert exempt == {'timm_model.model.pos_embed', 'timm_model.model.cls_token'}


def test_position_embeddings_are_fitted_to_the_size_of_the_image():
    """As timm does: a file for 224 px, a model for 96."""
    name = 'vit_tiny_patch16_224'
    backbone = build(name, model_args=dict(img_size=96))
    load_into(backbone, whole_model(name).state_dict(), 'file')
    assert backbone.timm_model.model.pos_embed.shape == (1, 1 + 6 * 6, 192)
    assert backbone(pixels(96))[0].shape == (2, 192, 6, 6)


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        (
            dict(model='tf_efficientnet_lite'),
            r"model='tf_efficientnet_lite' is not in timm .*tf_efficientnet_lite0",
        ),
        (dict(model='???'), r'see timm\.list_models\(\)'),
        (
            dict(model='hf-hub:timm/resnet18.a1_in1k'),
            r"model='hf-hub:timm/resnet18\.a1_in1k' is not in timm",
        ),
        (
            dict(model='resnet18.a1_in1k'),
            r"names weights \(a1_in1k\), which timm would fetch; allowed is 'resnet18'",
        ),
        (
            dict(out_indices=(1, 5)),
            r'out_indices=\(1, 5\) of resnet18; allowed are ascending .* 0 to 4',
        ),
        (dict(out_indices=(2, 1)), r'out_indices=\(2, 1\) of resnet18'),
        (dict(out_indices=(-1,)), r'out_indices=\(-1,\) of resnet18'),
        (dict(out_indices=()), r'out_indices=\(\) of resnet18'),
        (
            dict(frozen_stages=5),
            r'frozen_stages=5, allowed for resnet18 are -1 \(nothing\), 0 .* to 4 ',
        ),
        (dict(frozen_stages=-2), r'frozen_stages=-2, allowed'),
        (dict(frozen_stages=1.0), r'frozen_stages=1\.0, allowed'),
        (dict(frozen_stages=True), r'frozen_stages=True, allowed'),
        (
            dict(model='twins_svt_small', out_indices=(0,), frozen_stages=0),
            r'allowed for twins_svt_small are -1 \(nothing\) alone',
        ),
        (
            dict(model_args=dict(pretrained=True, checkpoint_path='x.pth')),
            r"model_args has \['checkpoint_path', 'pretrained'\], which the backbone",
        ),
        (
            dict(model_args=dict(width=3)),
            r"timm\.create_model\('resnet18'\): .*unexpected keyword argument 'width'",
        ),
        (
            dict(model='tresnet_m', out_indices=(0, 1)),
            r"model='tresnet_m' cannot return maps",
        ),
    ],
)  # fmt: skip
def test_bad_arguments_are_refused_in_one_line(kwargs, message):
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        with pytest.raises(ValueError, match=message) as error:
            TimmBackbone(**dict(dict(model='resnet18'), **kwargs))
    assert '\n' not in str(error.value)


def test_layer_decay_without_known_stages_is_refused():
    backbone = TimmBackbone('twins_svt_small', (0,))
    with pytest.raises(ValueError, match='stages of twins_svt_small are not known'):
        backbone.get_layer_depth('timm_model.x')


def test_without_timm_the_message_says_what_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, 'timm', None)
    with pytest.raises(ImportError, match=r"pip install 's5_mm\[timm\]'"):
        TimmBackbone('resnet18')
