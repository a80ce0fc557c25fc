import pytest
import torch
from torch import nn

from s5_mm.checkpoints.comparison import checkpoint_differences
from s5_mm.engine.optimizers import AmpOptimWrapper, OptimWrapper, amp_optim_wrapper
from s5_mm.registry import OPTIM_WRAPPERS


def _setup(dtype='bfloat16', **kwargs):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 2))
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-2, fused=True)
    return net, AmpOptimWrapper(dtype=dtype, optimizer=optimizer, **kwargs)


def _train(net, wrapper, steps, start=0):
    losses, dtypes = [], set()
    for step in range(start, start + steps):
        data = torch.Generator().manual_seed(step)
        image = torch.randn(4, 3, 8, 8, generator=data)
        with wrapper.optim_context(net):
            scores = net(image)
            dtypes.add(scores.dtype)
            bright = (image.mean((1, 2, 3)) > 0).long()
            loss = nn.functional.cross_entropy(scores, bright)
        wrapper.update_params(loss)
        losses.append(loss.item())
    return losses, dtypes


@pytest.mark.parametrize('dtype', ['bfloat16', 'float16', torch.bfloat16])
def test_trains_on_cpu_in_the_type_asked_for(dtype):
    net, wrapper = _setup(dtype)
    losses, dtypes = _train(net, wrapper, 30)
    expected = getattr(torch, dtype) if isinstance(dtype, str) else dtype
    assert dtypes == {expected}
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])
    assert {p.dtype for p in net.parameters()} == {torch.float32}


def test_only_float16_scales_the_loss():
    assert not _setup('bfloat16')[1].loss_scaler.is_enabled()
    assert _setup('float16')[1].loss_scaler.get_scale() == 2.0**16
    assert _setup('float16', loss_scale=8.0)[1].loss_scaler.get_scale() == 8.0
    wrapper = _setup('float16', loss_scale=dict(init_scale=4.0))[1]
    assert wrapper.loss_scaler.get_scale() == 4.0


@pytest.mark.parametrize('dtype', ['bfloat16', 'float16'])
def test_state_resumes_to_the_bit(dtype):
    kwargs = dict(clip_grad=dict(max_norm=1.0))
    if dtype == 'float16':
        # A scale that grows within the test.
        kwargs['loss_scale'] = dict(init_scale=16.0, growth_interval=4)
    net, wrapper = _setup(dtype, **kwargs)
    _train(net, wrapper, 6)
    saved = dict(net=net.state_dict(), optim=wrapper.state_dict())
    saved = {k: {n: _copied(v) for n, v in s.items()} for k, s in saved.items()}
    whole, _ = _train(net, wrapper, 6, start=6)

    other, resumed = _setup(dtype, **kwargs)
    other.load_state_dict(saved['net'])
    resumed.load_state_dict(saved['optim'])
    again, _ = _train(other, resumed, 6, start=6)
    assert whole == again
    assert checkpoint_differences(wrapper.state_dict(), resumed.state_dict()) == []
    if dtype == 'float16':
        assert wrapper.loss_scaler.get_scale() > 16.0


def _copied(value):
    if isinstance(value, torch.Tensor):
        return value.clone()
    if isinstance(value, dict):
        return {k: _copied(v) for k, v in value.items()}
    return [_copied(v) for v in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    ('before', 'after'), [('float16', 'bfloat16'), ('bfloat16', 'float16')]
)
def test_type_may_change_on_resume(before, after):
    net, wrapper = _setup(before)
    _train(net, wrapper, 2)
    other, resumed = _setup(after)
    resumed.load_state_dict(wrapper.state_dict())
    _train(other, resumed, 1)
    assert resumed.loss_scaler.is_enabled() == (after == 'float16')


def test_overflow_skips_the_update_in_float16():
    net, wrapper = _setup('float16')
    before = [p.clone() for p in net.parameters()]
    with wrapper.optim_context(net):
        loss = net(torch.randn(1, 3, 8, 8)).sum() * float('inf')
    wrapper.update_params(loss)
    assert all(torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))
    assert wrapper.loss_scaler.get_scale() == 2.0**15


def test_refuses_in_one_line_where_torch_cannot(monkeypatch):
    monkeypatch.setattr(amp_optim_wrapper, '_autocast_works', lambda *args: False)
    with pytest.raises(RuntimeError, match="no such autocast on 'cpu'") as caught:
        _setup('float16')
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('dtype', ['float32', 'fp16', torch.float64])
def test_other_types_are_refused(dtype):
    allowed = r"expected one of \['auto', 'bfloat16', 'float16'\]"
    with pytest.raises(ValueError, match=allowed):
        _setup(dtype)


def test_wrong_loss_scale_is_refused():
    with pytest.raises(TypeError, match="must be 'dynamic', a float or a dict, got 7"):
        _setup('float16', loss_scale=7)


def test_gradients_are_clipped_and_their_norm_deferred():
    net, wrapper = _setup(clip_grad=dict(max_norm=1e-3))
    wrapper.defer_scalars = True
    image = torch.randn(2, 3, 8, 8)
    with wrapper.optim_context(net):
        loss = net(image).float().square().sum()
    wrapper.backward(loss)
    expected = torch.stack([p.grad.norm() for p in net.parameters()]).norm()
    wrapper.step()
    norm = wrapper.deferred_scalars['train/grad_norm']
    torch.testing.assert_close(norm, expected)
    clipped = torch.stack([p.grad.norm() for p in net.parameters()]).norm()
    torch.testing.assert_close(clipped, torch.tensor(1e-3), rtol=1e-3, atol=0)
    assert wrapper.deferred_scalars == {}  # read once


def test_wrappers_are_registered():
    net = nn.Linear(2, 2)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for kind in (AmpOptimWrapper, OptimWrapper):
        config = dict(type=f's5_mm.{kind.__name__}', optimizer=optimizer)
        assert type(OPTIM_WRAPPERS.build(config)) is kind
