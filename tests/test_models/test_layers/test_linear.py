"""The oneDNN path equals F.linear, in value and gradient, and knows its limits."""

import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from s5_mm.models.layers import Linear, conv1x1, linear

from .onednn import kernels, onednn_only


def _operands(rows=64, columns=192, outputs=160, bias=True):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, rows, columns, generator=generator)
    weight = torch.randn(outputs, columns, generator=generator)
    return x, weight, torch.randn(outputs, generator=generator) if bias else None


def _is_onednn(names):
    return any('mkldnn' in name and 'linear' in name for name in names)


@pytest.mark.parametrize('bias', [True, False])
@pytest.mark.parametrize('contiguous', [True, False])
@pytest.mark.parametrize('outputs', [160, 224])  # narrower and wider than the input
def test_value_and_gradients_equal_fp64(outputs, contiguous, bias):
    x, weight, b = _operands(outputs=outputs, bias=bias)
    if not contiguous:
        x = x.transpose(0, 1).contiguous().transpose(0, 1)
    operands = [t.requires_grad_() for t in (x, weight, b) if t is not None]
    probe = torch.randn(2, 64, outputs, generator=torch.Generator().manual_seed(1))
    out = linear(x, weight, b)
    found = torch.autograd.grad((out * probe).sum(), operands)

    slow = [t.detach().double().requires_grad_() for t in operands]
    expected = slow[0] @ slow[1].T + (slow[2] if bias else 0)
    gradients = torch.autograd.grad((expected * probe.double()).sum(), slow)
    torch.testing.assert_close(out.double(), expected, rtol=1e-6, atol=1e-4)
    for a, b in zip(found, gradients, strict=True):
        torch.testing.assert_close(a.double(), b, rtol=1e-6, atol=1e-4)


@onednn_only
def test_large_fp32_products_use_onednn_in_training_and_inference():
    x, weight, bias = _operands()
    with torch.no_grad():
        assert _is_onednn(kernels(lambda: linear(x, weight, bias)))
    weight.requires_grad_()
    assert _is_onednn(kernels(lambda: linear(x, weight, bias)))


@onednn_only
@pytest.mark.parametrize('why', ['small', 'fp64', 'switched off', 'autocast'])
def test_other_products_are_left_to_torch(why, monkeypatch):
    x, weight, bias = _operands(*((4, 8, 8) if why == 'small' else ()))
    if why == 'fp64':
        x, weight, bias = x.double(), weight.double(), bias.double()

    monkeypatch.setattr(torch.backends.mkldnn, 'enabled', why != 'switched off')

    def run():
        with torch.autocast('cpu', torch.bfloat16, enabled=why == 'autocast'):
            out = linear(x, weight, bias)
            assert torch.equal(out, F.linear(x, weight, bias))

    assert 'mkldnn::_linear_pointwise' not in kernels(run)


def test_only_needed_gradients_are_computed():
    x, weight, bias = _operands()
    bias.requires_grad_()
    (grad,) = torch.autograd.grad(linear(x, weight, bias).sum(), [bias])
    torch.testing.assert_close(grad, torch.full_like(bias, 2.0 * 64))


def test_module_has_the_keys_of_torchs():
    assert set(Linear(3, 2).state_dict()) == {'weight', 'bias'}


def test_torchs_counter_sees_forward_and_backward():
    x, weight, bias = _operands()
    weight.requires_grad_()
    x.requires_grad_()
    with FlopCounterMode(display=False) as counter:
        linear(x, weight, bias).sum().backward()
    assert counter.get_total_flops() == 3 * 2 * (2 * 64) * 192 * 160


@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last])
def test_convolution_of_single_pixels_equals_torchs(layout):
    x, weight, bias = _operands()
    x = x.view(2, 8, 8, 192).permute(0, 3, 1, 2).contiguous(memory_format=layout)
    operands = [t.requires_grad_() for t in (x, weight, bias)]
    found, expected = conv1x1(*operands), F.conv2d(x, weight[..., None, None], bias)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-4)
    probe = torch.linspace(-1, 1, found.numel()).view_as(found)
    for a, b in zip(
        torch.autograd.grad(found, operands, probe),
        torch.autograd.grad(expected, operands, probe),
        strict=True,
    ):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-3)
