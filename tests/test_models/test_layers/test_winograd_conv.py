"""Winograd's form of a 3x3 convolution is the convolution."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from s5_mm.models.layers import conv3x3, winograd_conv

from .onednn import onednn_only


def both(function, x, weight, **kwargs):
    """Value and gradients, all pixels weighted differently."""
    operands = [t.clone().requires_grad_() for t in (x, weight)]
    out = function(*operands, **kwargs)
    probe = torch.linspace(-1, 1, out.numel(), dtype=torch.double).view(out.shape)
    return out, *torch.autograd.grad(out, operands, probe.to(out.dtype))


@pytest.mark.parametrize('tile_bytes', [2**20, 2**13])
@pytest.mark.parametrize('size', [(8, 12), (7, 9), (9, 8), (2, 2), (1, 1), (33, 6)])
def test_value_and_gradients_in_fp64(size, tile_bytes, monkeypatch):
    monkeypatch.setattr(winograd_conv, '_TILE_BYTES', tile_bytes)
    torch.manual_seed(0)
    x = torch.randn(2, 5, *size, dtype=torch.double)
    weight = torch.randn(4, 5, 3, 3, dtype=torch.double)
    found = both(winograd_conv.Winograd.apply, x, weight)
    for a, b in zip(found, both(F.conv2d, x, weight, padding=1), strict=True):
        assert (a - b).abs().max() <= 1e-12 * max(1.0, b.abs().max())


@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize('bias', [True, False])
def test_value_and_gradients_in_fp32(bias, layout):
    torch.manual_seed(0)
    x = torch.randn(2, 258, 33, 34).to(memory_format=layout)
    weight, b = torch.randn(256, 258, 3, 3), torch.randn(256) if bias else None
    found = both(conv3x3, x, weight, bias=b)
    expected = both(
        F.conv2d,
        x.double(),
        weight.double(),
        bias=b.double() if bias else None,
        padding=1,
    )
    for a, b in zip(found, expected, strict=True):
        assert (a.double() - b).abs().max() <= 1e-5 * b.abs().max()


@onednn_only
def test_it_multiplies_a_quarter():
    def count(function, side):
        x, weight = torch.randn(1, 128, side, side), torch.randn(128, 128, 3, 3)
        with FlopCounterMode(display=False) as counter:
            function(x.requires_grad_(), weight.requires_grad_()).sum().backward()
        return counter.get_total_flops()

    # The kernel's own transforms do not depend on the map's size.
    mine = count(conv3x3, 64) - count(conv3x3, 32)
    plain = partial(F.conv2d, padding=1)
    assert 4 * mine == count(plain, 64) - count(plain, 32)


@pytest.mark.parametrize('why', ['small', 'few channels', 'fp64', 'autocast'])
def test_other_maps_are_left_to_torch(why):
    side, channels = (8 if why == 'small' else 32), (16 if why[0] == 'f' else 128)
    x, weight = (
        torch.randn(1, channels, side, side),
        torch.randn(channels, channels, 3, 3),
    )
    if why == 'fp64':
        x, weight = x.double(), weight.double()
    with torch.autocast('cpu', torch.bfloat16, enabled=why == 'autocast'):
        assert torch.equal(conv3x3(x, weight), F.conv2d(x, weight, padding=1))


def test_only_needed_gradients_are_computed():
    x, weight = torch.randn(1, 256, 32, 32), torch.randn(256, 256, 3, 3)
    for wanted in (x, weight):
        wanted.requires_grad_()
        (grad,) = torch.autograd.grad(conv3x3(x, weight).sum(), [wanted])
        assert grad.shape == wanted.shape
        wanted.requires_grad_(False)
