"""Which precision 'auto' trains in, and what is said about it."""

import logging

import pytest
import torch
from mmengine.logging import MMLogger
from torch import nn

from s5_mm.checkpoints.comparison import checkpoint_differences
from s5_mm.engine.optimizers import AmpOptimWrapper, OptimWrapper, amp_optim_wrapper
from s5_mm.engine.optimizers.precision import (
    automatic_dtype,
    bfloat16_slowdown,
    cpu_flags,
    native_bfloat16,
)


@pytest.mark.parametrize('device', ['cpu', 'cuda'])
@pytest.mark.parametrize('native', [True, False])
def test_decision(device, native):
    asked = []

    def capability(device_type):
        asked.append(device_type)
        return native

    expected = torch.bfloat16 if native else torch.float32
    assert automatic_dtype(device, capability) == expected
    assert asked == [device]


@pytest.mark.parametrize(
    ('text', 'flag'),
    [
        ('processor\t: 0\nflags\t\t: fpu avx512f avx512_bf16\n', 'avx512_bf16'),
        ('processor\t: 0\nflags\t\t: fpu amx_bf16 amx_tile\n', 'amx_bf16'),
        ('processor\t: 0\nFeatures\t: fp asimd bf16\n', 'bf16'),
        ('processor\t: 0\nflags\t\t: fpu avx2\n', None),
        ('processor\t: 0\n', None),
    ],
)
def test_instruction_sets_of_a_cpu(tmp_path, text, flag):
    path = tmp_path / 'cpuinfo'
    path.write_text(text)
    found = cpu_flags(path) & {'avx512_bf16', 'amx_bf16', 'bf16'}
    assert found == ({flag} if flag else set())


def test_a_system_that_describes_no_cpu_has_no_flags(tmp_path):
    assert cpu_flags(tmp_path / 'missing') == set()


def test_this_machine():
    expected = bool(cpu_flags() & {'avx512_bf16', 'amx_bf16', 'bf16'})
    assert native_bfloat16('cpu') == expected
    assert not native_bfloat16('meta')
    assert bfloat16_slowdown() > 0


@pytest.fixture
def said(caplog):
    """What mmengine's logger records."""
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    yield caplog
    logger.removeHandler(caplog.handler)


def _net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 2))


def _trained(make):
    net = _net()
    wrapper = make(torch.optim.AdamW(net.parameters(), lr=1e-2, fused=True))
    for step in range(3):
        image = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(step))
        with wrapper.optim_context(net):
            loss = net(image).float().square().mean()
        wrapper.update_params(loss)
    return {name: value.clone() for name, value in net.state_dict().items()}


@pytest.mark.parametrize('native', [True, False])
def test_auto_is_one_of_the_two_to_the_bit(monkeypatch, said, native):
    monkeypatch.setattr(amp_optim_wrapper, 'native_bfloat16', lambda device: native)
    found = _trained(lambda own: AmpOptimWrapper('auto', optimizer=own))
    if native:
        expected = _trained(lambda own: AmpOptimWrapper('bfloat16', optimizer=own))
        line = "optim_wrapper.dtype='auto': training in bfloat16, the cpu has bfloat16"
    else:
        expected = _trained(OptimWrapper)
        line = "optim_wrapper.dtype='auto': training in float32, the cpu lacks bfloat16"
    assert checkpoint_differences(expected, found) == []
    assert said.records[0].getMessage().startswith(line)


def test_bfloat16_by_name_is_warned_of_where_it_is_emulated(monkeypatch, said):
    optimizer = torch.optim.SGD(_net().parameters(), lr=0.1)
    AmpOptimWrapper('float16', optimizer=optimizer)
    monkeypatch.setattr(amp_optim_wrapper, 'native_bfloat16', lambda device: True)
    AmpOptimWrapper('bfloat16', optimizer=optimizer)
    assert said.records == []
    monkeypatch.setattr(amp_optim_wrapper, 'native_bfloat16', lambda device: False)
    AmpOptimWrapper('float16', optimizer=optimizer)
    assert said.records == []
    AmpOptimWrapper('bfloat16', optimizer=optimizer)
    assert [record.levelno for record in said.records] == [logging.WARNING]
    text = said.records[0].getMessage()
    assert 'this CPU has no instructions for it' in text
    assert 'times as long as in float32 (measured now)' in text
    assert "optim_wrapper.dtype='auto'" in text
