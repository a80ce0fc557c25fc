"""Position embeddings equal torch's bicubic interpolation and never go stale."""

import pytest
import torch
import torch.nn.functional as F

from s5_mm.models.layers import PositionInterpolator, fit_pos_embed


def _reference(pos, source, target):
    grid = pos.reshape(1, *source, -1).permute(0, 3, 1, 2)
    grid = F.interpolate(grid, size=target, mode='bicubic', align_corners=False)
    return grid.permute(0, 2, 3, 1).reshape(1, target[0] * target[1], -1)


@pytest.mark.parametrize(
    ('source', 'target'),
    [((14, 14), (32, 32)), ((32, 32), (13, 40)), ((4, 6), (3, 9)), ((5, 5), (5, 7))],
)
def test_equals_torchs_bicubic_with_its_gradient(source, target):
    torch.manual_seed(0)
    pos = torch.randn(1, source[0] * source[1], 8, requires_grad=True)
    probe = torch.randn(1, target[0] * target[1], 8)
    out = PositionInterpolator()(pos, source, target)
    expected = _reference(pos, source, target)
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=2e-6)
    (found,) = torch.autograd.grad((out * probe).sum(), pos)
    (wanted,) = torch.autograd.grad((expected * probe).sum(), pos)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)


def test_the_native_size_is_the_parameter_itself():
    pos = torch.randn(1, 6, 2)
    assert PositionInterpolator()(pos, (2, 3), (2, 3)) is pos


def test_the_operator_is_made_once_per_size(monkeypatch):
    calls = []
    original = F.interpolate

    def counted(*args, **kwargs):
        calls.append(kwargs['size'])
        return original(*args, **kwargs)

    monkeypatch.setattr(F, 'interpolate', counted)
    interpolate, pos = PositionInterpolator(), torch.randn(1, 16, 2)
    for _ in range(3):
        interpolate(pos, (4, 4), (6, 5))
    assert len(calls) == 2  # rows and columns
    interpolate(pos, (4, 4), (5, 6))
    assert len(calls) == 4


def test_swapping_the_weights_through_data_is_seen():
    # mmengine's EMA hook does this; it changes neither address nor version.
    pos = torch.nn.Parameter(torch.randn(1, 16, 2))
    interpolate = PositionInterpolator()
    with torch.no_grad():
        before = interpolate(pos, (4, 4), (8, 8)).clone()
        address, version = pos.data_ptr(), pos._version
        pos.data.copy_(pos.data * 2)
        assert (pos.data_ptr(), pos._version) == (address, version)
        torch.testing.assert_close(interpolate(pos, (4, 4), (8, 8)), before * 2)


def test_operators_made_in_inference_mode_serve_training():
    pos = torch.nn.Parameter(torch.randn(1, 16, 2))
    interpolate = PositionInterpolator()
    with torch.inference_mode():
        interpolate(pos, (4, 4), (6, 6))
    interpolate(pos, (4, 4), (6, 6)).sum().backward()
    torch.testing.assert_close(pos.grad.sum(), torch.tensor(72.0))


def test_autocast_does_not_round_the_embedding():
    pos = torch.randn(1, 16, 2)
    expected = PositionInterpolator()(pos, (4, 4), (6, 6))
    with torch.autocast('cpu', torch.bfloat16):
        out = PositionInterpolator()(pos, (4, 4), (6, 6))
    assert out.dtype == torch.float32
    assert torch.equal(out, expected)


@pytest.mark.parametrize('slot', [0, 1])
@pytest.mark.parametrize('target', [(4, 4), (2, 8), (8, 8), (3, 6)])
def test_stored_embeddings_are_fitted_and_the_slot_split_off(slot, target):
    torch.manual_seed(0)
    stored = torch.randn(1, 16 + slot, 3)
    fitted, found_slot = fit_pos_embed(stored, target)
    grid = stored[:, slot:]
    same = target[0] * target[1] == 16
    expected = grid if same else _reference(grid, (4, 4), target)
    torch.testing.assert_close(fitted, expected, rtol=1e-5, atol=1e-6)
    if slot:
        assert torch.equal(found_slot, stored[:, :1])
    else:
        assert found_slot is None


def test_a_length_that_is_no_grid_is_refused():
    with pytest.raises(
        ValueError,
        match=r'backbone.pos_embed: shape \(1, 15, 3\) cannot.*4 x 4.*16 positions',
    ):
        fit_pos_embed(torch.randn(1, 15, 3), (4, 4), 'backbone.pos_embed')


def test_the_slot_of_a_grid_that_is_no_square_is_split_off():
    stored = torch.randn(1, 13, 3)
    fitted, slot = fit_pos_embed(stored, (3, 4))
    assert torch.equal(fitted, stored[:, 1:])
    assert torch.equal(slot, stored[:, :1])
