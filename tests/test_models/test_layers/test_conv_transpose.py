"""The transposed convolution as a product equals torch's."""

import pytest
import torch
import torch.nn.functional as F

from s5_mm.models.layers import ConvTranspose2x2, conv_transpose2x2

from .onednn import kernels, onednn_only


@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize('bias', [True, False])
@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_value_and_gradients_equal_fp64(dtype, bias, layout):
    torch.manual_seed(0)
    x = torch.randn(2, 96, 9, 7, dtype=dtype).contiguous(memory_format=layout)
    weight = torch.randn(96, 80, 2, 2, dtype=dtype)
    operands = [x, weight] + [torch.randn(80, dtype=dtype)] * bias
    found = [t.clone().requires_grad_() for t in operands]
    exact = [t.double().requires_grad_() for t in operands]
    out, expected = conv_transpose2x2(*found), F.conv_transpose2d(*exact, stride=2)
    assert out.dtype == dtype
    torch.testing.assert_close(out.double(), expected, rtol=1e-5, atol=1e-4)
    probe = torch.linspace(-1, 1, out.numel(), dtype=torch.double).view_as(out)
    gradients = torch.autograd.grad(expected, exact, probe)
    ours = torch.autograd.grad(out, found, probe.to(dtype))
    for a, b in zip(ours, gradients, strict=True):
        torch.testing.assert_close(a.double(), b, rtol=1e-5, atol=1e-3)


@onednn_only
def test_large_maps_are_products_and_stay_channels_last():
    x = torch.randn(1, 96, 16, 16).contiguous(memory_format=torch.channels_last)
    conv = ConvTranspose2x2(96, 80)
    names = kernels(lambda: conv(x))
    assert 'mkldnn::_linear_pointwise' in names
    assert not any('convolution' in name for name in names)
    assert conv(x).is_contiguous(memory_format=torch.channels_last)


def test_module_has_the_keys_and_the_start_of_torchs():
    states = []
    for build in (ConvTranspose2x2, torch.nn.ConvTranspose2d):
        torch.manual_seed(0)
        arguments = (6, 4) if build is ConvTranspose2x2 else (6, 4, 2, 2)
        states.append(build(*arguments).state_dict())
    ours, theirs = states
    assert list(ours) == list(theirs)
    for key, value in theirs.items():
        assert torch.equal(ours[key], value)
