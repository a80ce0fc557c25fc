"""FFN-MoE: Eq. 8-10, sample by sample in fp64."""

import pytest
import torch
from torch.nn import functional as F

from s5_mm.models.layers import FeedForward, FFNMoE
from s5_mm.utils.routing import DatasetSlice, RoutingError, contiguous_slices

WIDTH, PART = 12, 4
NAMES = ['a', 'a', 'b', 'c', 'c', 'c']


@pytest.fixture
def ffn():
    torch.manual_seed(0)
    return FFNMoE(WIDTH, 4 * WIDTH, PART, ['a', 'b', 'c']).double()


def equations(ffn, x, names):
    """Eq. 8-10 of each sample alone, with GELU as MAE's weights want it."""
    rows = []
    for sample, name in zip(x, names, strict=True):
        first, shared, expert = ffn.layers[0][0], ffn.layers[1], ffn.experts[name]
        hidden = F.gelu(sample @ first.weight.T + first.bias)
        rows.append(
            torch.cat(
                [
                    hidden @ shared.weight.T + shared.bias,
                    hidden @ expert.weight.T + expert.bias,
                ],
                dim=-1,
            )
        )
    return torch.stack(rows)


def gradients(ffn, output, weight):
    ffn.zero_grad()
    (output * weight).sum().backward()
    return {name: p.grad.clone() for name, p in ffn.named_parameters()}


def test_mixed_batch_follows_the_equations(ffn):
    x = torch.randn(6, 5, WIDTH, dtype=torch.float64)
    weight = torch.randn(6, 5, WIDTH, dtype=torch.float64)
    got = ffn(x, slices=contiguous_slices(NAMES))
    want = equations(ffn, x, NAMES)
    torch.testing.assert_close(got, want, rtol=1e-12, atol=1e-12)
    own, theirs = gradients(ffn, got, weight), gradients(ffn, want, weight)
    for name, grad in theirs.items():
        torch.testing.assert_close(own[name], grad, rtol=1e-12, atol=1e-12, msg=name)


def test_expert_is_trained_by_its_samples_alone(ffn):
    x = torch.randn(3, 5, WIDTH, dtype=torch.float64)
    out = ffn(x, slices=contiguous_slices(['a', 'a', 'c']))
    out[:2].sum().backward()  # the gradient comes from data set a
    assert ffn.experts['b'].weight.grad is None
    assert not ffn.experts['c'].weight.grad.any()
    assert ffn.experts['a'].weight.grad.any()
    assert ffn.layers[1].weight.grad.any()


def test_dense_layer_is_split_and_folded_back(ffn):
    dense = FeedForward(WIDTH, 4 * WIDTH).double()
    ffn.load_state_dict(dense.state_dict())
    x = torch.randn(6, 5, WIDTH, dtype=torch.float64)
    got = ffn(x, slices=contiguous_slices(NAMES))
    torch.testing.assert_close(got, dense(x), rtol=1e-12, atol=1e-12)
    for name in 'abc':
        folded = ffn.fold(name)
        for kind, value in folded.items():
            assert torch.equal(value, getattr(dense.layers[1], kind))
    # Experts are copies, not views of one memory.
    with torch.no_grad():
        ffn.experts['a'].weight.add_(1)
    assert not torch.equal(ffn.experts['a'].weight, ffn.experts['b'].weight)


def test_folded_layer_does_what_the_path_does(ffn):
    x = torch.randn(2, 5, WIDTH, dtype=torch.float64)
    dense = FeedForward(WIDTH, 4 * WIDTH).double()
    for name in 'abc':
        state = {k: v for k, v in ffn.state_dict().items() if 'experts' not in k}
        state.update({f'layers.1.{k}': v for k, v in ffn.fold(name).items()})
        dense.load_state_dict(state)
        got = ffn(x, slices=[DatasetSlice(name, 0, 2)])
        torch.testing.assert_close(dense(x), got, rtol=1e-12, atol=1e-12)


def test_one_expert_needs_no_slices():
    ffn = FFNMoE(WIDTH, 4 * WIDTH, WIDTH, ['a'])  # nothing is shared
    x = torch.randn(2, 5, WIDTH)
    assert torch.equal(ffn(x), ffn(x, slices=[DatasetSlice('a', 0, 2)]))


@pytest.mark.parametrize(
    ('slices', 'message'),
    [
        (None, r"does not say .* experts for \['a', 'b', 'c'\]"),
        ([DatasetSlice('d', 0, 2)], r"no expert for the data set 'd'.*\['a', 'b'"),
        ([DatasetSlice('a', 0, 1)], r"\('a', 0, 1\).* do not cover the 2 samples"),
        ([DatasetSlice('a', 1, 2)], 'do not cover'),
        ([DatasetSlice('a', 0, 2), DatasetSlice('b', 1, 2)], 'do not cover'),
        ([], 'do not cover'),
    ],
)
def test_wrong_routing_is_refused(ffn, slices, message):
    with pytest.raises(RoutingError, match=message):
        ffn(torch.zeros(2, 5, WIDTH, dtype=torch.float64), slices=slices)
