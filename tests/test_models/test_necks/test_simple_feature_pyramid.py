"""The pyramid has the release's keys, strides and arithmetic."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from s5_mm.models.necks import LayerNorm2d, build_feature_pyramid, crop_to_stride


def test_keys_are_those_of_the_release():
    levels = build_feature_pyramid(6, 16)
    keys = {f'fpn{i}.{k}' for i, m in enumerate(levels, 1) for k in m.state_dict()}
    assert keys == {
        f'{name}.{kind}'
        for name in ('fpn1.0', 'fpn1.1.ln', 'fpn1.3', 'fpn2.0')
        for kind in ('weight', 'bias')
    }
    assert levels[0][1].ln.eps == 1e-6
    assert isinstance(levels[2], nn.Identity)


@pytest.mark.parametrize('patch_size', [4, 8, 16])
def test_strides_do_not_depend_on_the_patch(patch_size):
    tap = torch.randn(2, 6, 64 // patch_size, 96 // patch_size)
    shapes = [level(tap).shape for level in build_feature_pyramid(6, patch_size)]
    assert shapes == [(2, 6, 64 // s, 96 // s) for s in (4, 8, 16, 32)]


def test_first_level_equals_a_slow_formulation():
    torch.manual_seed(0)
    up, norm, _, again = level = build_feature_pyramid(5, 16)[0].double()
    nn.init.normal_(norm.ln.weight)
    nn.init.normal_(norm.ln.bias)
    x = torch.randn(1, 5, 2, 3, dtype=torch.float64)

    def double(x, conv):
        out = x.new_empty(1, 5, 2 * x.shape[2], 2 * x.shape[3])
        for i in range(2):
            for j in range(2):
                cells = torch.einsum('nchw,cd->ndhw', x, conv.weight[:, :, i, j])
                out[:, :, i::2, j::2] = cells + conv.bias[:, None, None]
        return out

    y = double(x, up)
    y = (y - y.mean(1, True)) / (y.var(1, unbiased=False, keepdim=True) + 1e-6).sqrt()
    y = y * norm.ln.weight[:, None, None] + norm.ln.bias[:, None, None]
    expected = double(F.gelu(y), again)
    torch.testing.assert_close(level(x), expected)
    channels_last = x.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(level(channels_last), expected)


def test_channels_last_stays_channels_last():
    x = torch.randn(2, 6, 4, 4).contiguous(memory_format=torch.channels_last)
    out = LayerNorm2d(6)(x)
    assert out.is_contiguous(memory_format=torch.channels_last)


def test_a_patch_without_a_chain_is_refused():
    with pytest.raises(ValueError, match='patch_size 4, 8 or 16, got 14; with_fpn'):
        build_feature_pyramid(6, 14)


def test_maps_of_padded_images_are_cut_to_the_image():
    x = torch.arange(8 * 8.0).view(1, 1, 8, 8)
    assert torch.equal(crop_to_stride(x, (29, 32), 4), x[..., :8, :8])
    assert torch.equal(crop_to_stride(x, (17, 9), 4), x[..., :5, :3])
