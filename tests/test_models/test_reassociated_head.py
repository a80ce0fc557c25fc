"""The head with fewer multiply-adds is the plain head, in fp64 to 1e-12."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from mmengine.registry import init_default_scope

from s5_mm.models.backbones import ViT
from s5_mm.models.decode_heads import UPerHead
from s5_mm.models.layers import (
    PendingUpsample,
    add_conv3x3_of_upsampled_,
    evaluated,
)


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmseg')


def close(first, second):
    """Equal within 1e-12 of the largest value."""
    assert first.shape == second.shape
    scale = max(second.abs().max().item(), 1e-30)
    assert (first - second).abs().max().item() <= 1e-12 * scale


@pytest.mark.parametrize('align_corners', [False, True])
@pytest.mark.parametrize('size', [(6, 8), (12, 16), (24, 32), (23, 31), (7, 5), (6, 1)])
@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last])
def test_convolution_of_an_upsampled_map(layout, size, align_corners):
    torch.manual_seed(0)
    x = torch.randn(2, 5, 6, 8 if size[1] > 1 else 1, dtype=torch.double)
    weight = torch.randn(4, 5, 3, 3, dtype=torch.double)
    results = []
    for fused in (True, False):
        inputs = x.clone().requires_grad_(), weight.clone().requires_grad_()
        base = torch.ones(2, 4, *size, dtype=torch.double).to(memory_format=layout)
        base.requires_grad_()
        if fused:
            out = add_conv3x3_of_upsampled_(base.clone(), *inputs, align_corners)
        else:
            up = F.interpolate(inputs[0], size, None, 'bilinear', align_corners)
            out = base + F.conv2d(up, inputs[1], padding=1)
        # Border rows and columns weigh as much as all others.
        out.backward(torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view_as(out))
        results.append((out, base.grad, inputs[0].grad, inputs[1].grad))
    for first, second in zip(*results, strict=True):
        close(first, second)


def test_convolution_of_an_upsampled_map_in_fp32():
    torch.manual_seed(0)
    x = torch.randn(3, 64, 12, 10).to(memory_format=torch.channels_last)
    weight, base = torch.randn(32, 64, 3, 3), torch.randn(3, 32, 24, 20)
    up = F.interpolate(x.double(), (24, 20), None, 'bilinear', False)
    expected = base.double() + F.conv2d(up, weight.double(), padding=1)
    out = add_conv3x3_of_upsampled_(base, x, weight)
    assert out is base
    torch.testing.assert_close(out.double(), expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize('bias', [True, False])
def test_pending_upsampling(bias):
    torch.manual_seed(0)
    conv = torch.nn.ConvTranspose2d(6, 6, 2, 2, bias=bias).double()
    lateral = torch.nn.Conv2d(6, 3, 1, bias=not bias).double()
    x = torch.randn(2, 6, 5, 4, dtype=torch.double, requires_grad=True)
    pending = PendingUpsample(x, conv, (9, 8))
    assert pending.shape == (2, 6, 9, 8)
    fused = pending.through(lateral.weight, lateral.bias)
    plain = lateral(conv(x)[..., :9, :])
    close(fused, plain)
    close(pending.evaluate(), conv(x)[..., :9, :])
    close(pending[1:].evaluate(), conv(x)[1:, :, :9])
    parameters = [x, *conv.parameters(), *lateral.parameters()]
    weights = torch.linspace(-1, 1, plain.numel(), dtype=plain.dtype).view_as(plain)
    for first, second in zip(
        torch.autograd.grad(fused, parameters, weights),
        torch.autograd.grad(plain, parameters, weights),
        strict=True,
    ):
        close(first, second)


def build(deferred, inner=False, patch_size=16, **head):
    """A small ViT and its head, always with the same weights."""
    torch.manual_seed(0)
    backbone = ViT(
        arch=dict(embed_dims=32, num_layers=4, num_heads=2),
        img_size=128,
        patch_size=patch_size,
        drop_path_rate=0.0,
        deferred_upsampling=deferred,
    )
    head = UPerHead(
        in_channels=[32] * 4,
        in_index=[0, 1, 2, 3],
        channels=16,
        num_classes=3,
        dropout_ratio=0.0,
        inner_align_corners=inner,
        norm_cfg=dict(type='BN'),
        **head,
    )
    backbone.init_weights()
    for module in (backbone, head):
        for parameter in module.parameters():
            torch.nn.init.normal_(parameter, std=0.1)
    return backbone.double(), head.double()


@pytest.mark.parametrize('inner', [False, True])
@pytest.mark.parametrize('patch_size', [4, 8, 16])
@pytest.mark.parametrize('size', [(128, 96), (150, 131)])
def test_outputs_and_gradients_are_those_of_the_plain_head(inner, patch_size, size):
    images = torch.randn(2, 3, *size, dtype=torch.double)
    found = []
    for reassociate in (True, False):
        backbone, head = build(reassociate, inner, patch_size, reassociate=reassociate)
        out = head(backbone(images))
        out.backward(torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view_as(out))
        named = {**dict(backbone.named_parameters()), **dict(head.named_parameters())}
        # Gradients of different layers are of different size.
        found.append((out, {name: p.grad for name, p in named.items()}))
    close(found[0][0], found[1][0])
    assert found[0][1].keys() == found[1][1].keys()
    for name, grad in found[1][1].items():
        if grad is None:
            assert found[0][1][name] is None
            continue
        scale = max(g.abs().max().item() for g in found[1][1].values() if g is not None)
        assert (found[0][1][name] - grad).abs().max() <= 1e-12 * scale, name


def test_mmseg_reads_the_same_keys():
    from mmseg.models.decode_heads import UPerHead as Host

    _, head = build(True)
    host = Host(
        in_channels=[32] * 4,
        in_index=[0, 1, 2, 3],
        channels=16,
        num_classes=3,
        norm_cfg=dict(type='BN'),
        align_corners=False,
    )
    host.load_state_dict(head.state_dict())
    backbone, _ = build(False)
    features = backbone(torch.randn(1, 3, 128, 128, dtype=torch.double))
    head.eval(), host.double().eval()
    close(head(features), host(features))


def test_other_heads_evaluate_what_is_pending():
    images = torch.randn(1, 3, 128, 128, dtype=torch.double)
    pending, plain = build(True)[0](images), build(False)[0](images)
    assert [isinstance(f, PendingUpsample) for f in pending] == [
        True,
        True,
        False,
        False,
    ]
    for first, second in zip(evaluated(pending), plain, strict=True):
        close(first, second)


@pytest.mark.parametrize('kind', ['Conv2d', 'ConvWS'])
def test_convolutions_of_other_kinds_are_used(kind):
    """Weight standardisation does not commute with upsampling: mmseg's way then."""
    backbone, head = build(True, conv_cfg=dict(type=kind))
    _, plain = build(True, conv_cfg=dict(type=kind), reassociate=False)
    images = torch.randn(2, 3, 96, 64, dtype=torch.double)
    close(head(backbone(images)), plain(backbone(images)))
    assert head.reassociate == (kind == 'Conv2d')
