"""One layer of a plain ViT."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from .attention import SelfAttention
from .drop_path import DropPath


class TransformerEncoderLayer(nn.Module):
    """Pre-norm transformer layer: ``x += attn(ln1(x)); x += drop(ffn(ln2(x)))``.

    Args:
        embed_dims: Width C.
        num_heads: Number of attention heads.
        ffn: Feed-forward module, called as ``ffn(tokens, **routing)``.
        norm_eps: Epsilon of both LayerNorms.
        drop_path_rate: Stochastic depth of the feed-forward branch, in [0, 1).
        drop_path_attn: Whether the attention branch is dropped at the same rate. The
            official release drops the feed-forward branch only; MAE's fine-tuning both.
        attn: Attention, called with the tokens and, if it is given, their grid;
            default a :class:`SelfAttention`.
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        ffn: nn.Module,
        norm_eps: float = 1e-6,
        drop_path_rate: float = 0.0,
        drop_path_attn: bool = False,
        attn: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.ln1 = nn.LayerNorm(embed_dims, eps=norm_eps)
        self.attn = SelfAttention(embed_dims, num_heads) if attn is None else attn
        self.ln2 = nn.LayerNorm(embed_dims, eps=norm_eps)
        self.ffn = ffn
        self.drop_path_attn = DropPath(drop_path_rate if drop_path_attn else 0.0)
        self.drop_path_ffn = DropPath(drop_path_rate)

    def forward(
        self, x: Tensor, grid: tuple[int, int] | None = None, **routing: Any
    ) -> Tensor:
        """Apply the layer.

        Args:
            x: Tokens (N, L, C).
            grid: Rows and columns of the L tokens, for an attention that needs them.
            **routing: Passed on to the feed-forward module.

        Returns:
            Tokens (N, L, C).
        """
        where = () if grid is None else (grid,)
        x = x + self.drop_path_attn(self.attn(self.ln1(x), *where))
        return x + self.drop_path_ffn(self.ffn(self.ln2(x), **routing))
