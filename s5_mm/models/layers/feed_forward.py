"""Feed-forward part of a transformer layer."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from .linear import Linear


class FeedForward(nn.Module):
    """Linear, GELU (erf), linear, under the names of mmcv's ``FFN``.

    Parameters are ``layers.0.0`` (C to hidden) and ``layers.1`` (hidden to C). What
    maps the hidden features back is the one part that differs in a mixture of experts,
    so it is made by :meth:`make_output` and called by :meth:`contract`, both to
    override.

    Args:
        embed_dims: Width C.
        feedforward_channels: Hidden width, 4C in every ViT of the paper.
    """

    def __init__(self, embed_dims: int, feedforward_channels: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            [
                nn.Sequential(Linear(embed_dims, feedforward_channels), nn.GELU()),
                self.make_output(feedforward_channels, embed_dims),
            ]
        )

    def make_output(self, feedforward_channels: int, embed_dims: int) -> nn.Module:
        """Build ``layers.1``.

        Args:
            feedforward_channels: Hidden width.
            embed_dims: Width C.

        Returns:
            The module that maps hidden features back to the width.
        """
        return Linear(feedforward_channels, embed_dims)

    def contract(self, hidden: Tensor, **routing: Any) -> Tensor:
        """Map hidden features back to the width.

        Args:
            hidden: (N, L, feedforward_channels).
            **routing: Where each sample comes from; a dense output ignores it.

        Returns:
            (N, L, C).
        """
        return self.layers[1](hidden)

    def forward(self, x: Tensor, **routing: Any) -> Tensor:
        """Apply the feed-forward part to every token.

        Args:
            x: Normalised tokens (N, L, C).
            **routing: Passed on to :meth:`contract`.

        Returns:
            (N, L, C), without the residual.
        """
        return self.contract(self.layers[0](x), **routing)
