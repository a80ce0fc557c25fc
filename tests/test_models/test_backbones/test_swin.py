"""Swin takes part in models of several data sets, layer decay and counting."""

import mmseg.models.backbones as host
import pytest
import torch

from s5_mm.models import SwinTransformer
from s5_mm.registry import MODELS

SMALL = dict(embed_dims=8, depths=(2, 3), num_heads=(2, 4), out_indices=(0, 1))
SMALL |= dict(strides=(4, 2), window_size=4, drop_path_rate=0.3)


def _build(kind=SwinTransformer):
    torch.manual_seed(0)
    model = kind(**SMALL)
    model.init_weights()
    model.eval()  # the host's returns nothing
    return model


def test_features_are_the_hosts_whatever_the_routing():
    ours, theirs = _build(), _build(host.SwinTransformer)
    theirs.load_state_dict(ours.state_dict(), strict=True)
    images = torch.randn(2, 3, 40, 56)
    with torch.no_grad():
        for a, b in zip(ours(images, slices=['x']), theirs(images), strict=True):
            assert torch.equal(a, b)
    assert [block.ffn.dropout_layer.drop_prob for block in ours.stages[1].blocks] == (
        [block.ffn.dropout_layer.drop_prob for block in theirs.stages[1].blocks]
    )


def test_it_is_built_on_the_meta_device_and_the_host_is_not():
    with torch.device('meta'):
        model = MODELS.build(dict(type='s5_mm.SwinTransformer', **SMALL))
        with pytest.raises(RuntimeError, match='meta'):
            host.SwinTransformer(**SMALL)
    assert {parameter.device.type for parameter in model.parameters()} == {'meta'}


@pytest.mark.parametrize('prefix', ['', 'backbone.'])
def test_depths_ascend_through_the_blocks(prefix):
    model = _build()
    depth = {
        name: model.get_layer_depth(prefix + name, prefix)
        for name, _ in model.named_parameters()
    }
    assert {total for _, total in depth.values()} == {7}
    assert {found for found, _ in depth.values()} == set(range(7))
    expected = {
        'patch_embed.projection.weight': 0,
        'stages.0.blocks.0.norm1.weight': 1,
        'stages.0.blocks.1.ffn.layers.1.bias': 2,
        'stages.0.downsample.reduction.weight': 2,
        'stages.1.blocks.0.attn.w_msa.qkv.weight': 3,
        'stages.1.blocks.2.norm2.bias': 5,
        'norm1.weight': 6,
    }
    assert {name: depth[name][0] for name in expected} == expected
    assert model.get_layer_depth('decode_head.x', 'backbone.') == (6, 7)


def test_bias_tables_are_not_decayed():
    names = _build().no_weight_decay()
    assert len(names) == 5
    assert all(name.endswith('relative_position_bias_table') for name in names)
