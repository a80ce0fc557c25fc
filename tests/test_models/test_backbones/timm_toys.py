"""Small models of timm for the tests."""

import pytest
import torch

from s5_mm.models.backbones import TimmBackbone

timm = pytest.importorskip('timm', reason="pip install 's5_mm[timm]'")

LITE = 'tf_efficientnet_lite0'


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


def build(name, **kwargs):
    torch.manual_seed(0)
    return TimmBackbone(name, out_indices=FAMILIES[name][0], **kwargs)


def whole_model(name, **kwargs):
    """timm's classifier in eval mode, its statistics not those of a start."""
    torch.manual_seed(1)
    model = timm.create_model(name, **kwargs).eval()
    state = model.state_dict()
    for key, value in state.items():
        if value.is_floating_point() and 'relative' not in key:
            value.add_(torch.rand_like(value) * 0.05)
    model.load_state_dict(state)
    return model


def pixels(size=64):
    return torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(2))
