"""Attention and feed-forward equal slow formulations in fp64."""

import pytest
import torch
from torch import nn

from s5_mm.models.layers import (
    FeedForward,
    PatchEmbed,
    SelfAttention,
    TransformerEncoderLayer,
)


def test_attention_equals_a_slow_formulation():
    torch.manual_seed(0)
    module = SelfAttention(12, 3).double()
    nn.init.normal_(module.attn.in_proj_bias)
    x = torch.randn(2, 5, 12, dtype=torch.float64)
    expected = torch.empty_like(x)
    weights = module.attn.in_proj_weight.split(12)
    biases = module.attn.in_proj_bias.split(12)
    for n in range(2):
        heads = []
        for head in range(3):
            rows = slice(4 * head, 4 * head + 4)
            q, k, v = (
                x[n] @ w[rows].T + b[rows] for w, b in zip(weights, biases, strict=True)
            )
            heads.append((q @ k.T / 2).softmax(-1) @ v)  # sqrt(4) = 2
        expected[n] = torch.cat(heads, -1)
    expected = expected @ module.attn.out_proj.weight.T + module.attn.out_proj.bias
    torch.testing.assert_close(module(x), expected, rtol=1e-10, atol=1e-12)


def test_attention_reads_the_weights_of_torchs_module():
    torch.manual_seed(0)
    host = nn.MultiheadAttention(8, 2, batch_first=True)
    module = SelfAttention(8, 2)
    module.attn.load_state_dict(host.state_dict(), strict=True)
    x = torch.randn(2, 6, 8)
    torch.testing.assert_close(module(x), host(x, x, x)[0], rtol=1e-5, atol=1e-6)


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match='embed_dims=10 and num_heads=3'):
        SelfAttention(10, 3)


def test_feed_forward_uses_the_exact_gelu():
    torch.manual_seed(0)
    module = FeedForward(4, 16).double()
    x = torch.randn(2, 3, 4, dtype=torch.float64)
    first, second = module.layers[0][0], module.layers[1]
    hidden = x @ first.weight.T + first.bias
    hidden = hidden * 0.5 * (1 + torch.erf(hidden / 2**0.5))
    torch.testing.assert_close(module(x), hidden @ second.weight.T + second.bias)


def test_the_output_of_the_feed_forward_is_a_hook():
    class Routed(FeedForward):
        def make_output(self, feedforward_channels, embed_dims):
            return nn.ModuleList(
                nn.Linear(feedforward_channels, embed_dims) for _ in range(2)
            )

        def contract(self, hidden, *, expert):
            return self.layers[1][expert](hidden)

    layer = TransformerEncoderLayer(4, 2, Routed(4, 8))
    x = torch.randn(1, 3, 4)
    assert not torch.equal(layer(x, expert=0), layer(x, expert=1))


@pytest.mark.parametrize(('attn', 'dropped'), [(False, 1), (True, 2)])
def test_drop_path_acts_on_the_branches_asked_for(attn, dropped):
    torch.manual_seed(0)
    layer = TransformerEncoderLayer(
        4, 2, FeedForward(4, 8), drop_path_rate=0.999999, drop_path_attn=attn
    )
    x = torch.randn(3, 5, 4)
    without_ffn = x + layer.attn(layer.ln1(x))
    assert torch.equal(layer(x), x if dropped == 2 else without_ffn)


def test_patches_equal_the_convolution():
    torch.manual_seed(0)
    module = PatchEmbed(3, 8, 4).double()
    x = torch.randn(2, 3, 12, 20, dtype=torch.float64)
    tokens, grid = module(x)
    assert grid == (3, 5)
    expected = module.projection(x).flatten(2).transpose(1, 2)
    torch.testing.assert_close(tokens, expected)
    padded, grid = module(x[..., :11, :17])
    assert grid == (3, 5)
    zeroed = x.clone()
    zeroed[..., 11:, :] = 0
    zeroed[..., 17:] = 0
    torch.testing.assert_close(padded, module(zeroed)[0])


@pytest.mark.parametrize('shape', [(1, 4, 8, 8), (3, 8, 8)])
def test_wrong_images_are_refused(shape):
    with pytest.raises(ValueError, match=r'\(N, 3, H, W\), got'):
        PatchEmbed(3, 8, 4)(torch.zeros(shape))
