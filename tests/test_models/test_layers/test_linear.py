"""The oneDNN path equals F.linear and is taken for inference alone."""

import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from s5_mm.models.layers import Linear, linear

onednn_only = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available()
    or torch.backends.cpu.get_cpu_capability() != 'AVX512',
    reason='this CPU or build of torch has no oneDNN kernel with AVX-512',
)


def kernels(function):
    """Names of the CPU kernels that a call runs."""
    with torch.profiler.profile() as profile:
        function()
    return {event.key for event in profile.key_averages()}


def _operands(rows=64, columns=192, outputs=160, bias=True):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, rows, columns, generator=generator)
    weight = torch.randn(outputs, columns, generator=generator)
    return x, weight, torch.randn(outputs, generator=generator) if bias else None


@pytest.mark.parametrize('bias', [True, False])
@pytest.mark.parametrize('contiguous', [True, False])
def test_value_and_gradients_equal_fp64(contiguous, bias):
    x, weight, b = _operands(bias=bias)
    if not contiguous:
        x = x.transpose(0, 1).contiguous().transpose(0, 1)
    operands = [t.requires_grad_() for t in (x, weight, b) if t is not None]
    probe = torch.randn(2, 64, 160, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        inferred = linear(x, weight, b)
    out = linear(x, weight, b)
    found = torch.autograd.grad((out * probe).sum(), operands)

    slow = [t.detach().double().requires_grad_() for t in operands]
    expected = slow[0] @ slow[1].T + (slow[2] if bias else 0)
    gradients = torch.autograd.grad((expected * probe.double()).sum(), slow)
    for value in (inferred, out):
        torch.testing.assert_close(value.double(), expected, rtol=1e-6, atol=1e-4)
    for a, b in zip(found, gradients, strict=True):
        torch.testing.assert_close(a.double(), b, rtol=1e-6, atol=1e-4)


@onednn_only
def test_large_fp32_products_use_onednn_in_inference():
    x, weight, bias = _operands()
    with torch.no_grad():
        names = kernels(lambda: linear(x, weight, bias))
    assert 'mkldnn::_linear_pointwise' in names


@onednn_only
@pytest.mark.parametrize(
    'why', ['small', 'fp64', 'switched off', 'autocast', 'training']
)
def test_other_products_are_left_to_torch(why, monkeypatch):
    x, weight, bias = _operands(*((4, 8, 8) if why == 'small' else ()))
    if why == 'fp64':
        x, weight, bias = x.double(), weight.double(), bias.double()

    monkeypatch.setattr(torch.backends.mkldnn, 'enabled', why != 'switched off')

    @torch.set_grad_enabled(why == 'training')
    def run():
        with torch.autocast('cpu', torch.bfloat16, enabled=why == 'autocast'):
            out = linear(x, weight, bias)
            assert torch.equal(out, F.linear(x, weight, bias))

    assert 'mkldnn::_linear_pointwise' not in kernels(run)


def test_module_has_the_keys_of_torchs():
    assert set(Linear(3, 2).state_dict()) == {'weight', 'bias'}


@torch.no_grad()
def test_torchs_counter_sees_the_product():
    with FlopCounterMode(display=False) as counter:
        linear(*_operands())
    assert counter.get_total_flops() == 2 * (2 * 64) * 192 * 160
