"""Stochastic depth keeps the expectation and drops whole samples."""

import pytest
import torch

from s5_mm.models.layers import DropPath


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
@pytest.mark.parametrize('rate', [0.001, 0.1, 0.5])
def test_share_of_dropped_samples(dtype, rate):
    torch.manual_seed(0)
    count = 200_000
    dropped = (DropPath(rate)(torch.ones(count, 1, dtype=dtype)) == 0).float().mean()
    tolerance = 4 * (rate * (1 - rate) / count) ** 0.5
    assert abs(dropped.item() - rate) < tolerance


def test_a_sample_is_dropped_whole_or_rescaled():
    torch.manual_seed(0)
    x = torch.randn(64, 5, 3)
    out = DropPath(0.25)(x)
    kept = (out != 0).flatten(1)
    assert torch.equal(kept.all(1), kept.any(1))
    assert 0 < kept.all(1).sum() < 64
    alive = kept.all(1)
    torch.testing.assert_close(out[alive], x[alive] / 0.75)
    assert out.dtype == x.dtype


def test_nothing_happens_in_eval_or_at_rate_zero():
    x = torch.randn(4, 3)
    assert DropPath(0.9).eval()(x) is x
    assert DropPath(0.0)(x) is x


@pytest.mark.parametrize('rate', [-0.1, 1.0])
def test_rate_outside_its_range(rate):
    with pytest.raises(ValueError, match='drop_prob=.*, expected at least 0 and'):
        DropPath(rate)
