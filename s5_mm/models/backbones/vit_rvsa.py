"""ViT with rotated varied-size window attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from torch import Tensor, nn

from s5_mm.models.layers import TransformerEncoderLayer
from s5_mm.models.layers.relative_positions import fit_offsets
from s5_mm.models.layers.rvsa import (
    PositionedAttention,
    RotatedWindowAttention,
)
from s5_mm.registry import MODELS

from .vit import ViT

# Every how many layers attention is full: four layers of each size.
_INTERVALS = {'b': 3, 'l': 6}


@MODELS.register_module()
class ViTRVSA(ViT):
    """The backbone of RVSA, SAMRS and MTP: window attention but for every n-th layer.

    Parameters have the names of :class:`ViT`, so weights of MAE load as well as those
    of the three models (``blocks.*.attn.sampling_offsets``, ...; format 'rvsa').

    Args:
        arch: 'b', 'l', or any other size of :class:`ViT` with ``interval``.
        interval: Each ``interval``-th layer attends to all tokens; 3 for ViT-B, 6 for
            ViT-L.
        window: Side of the windows in patches.
        drop_path_attn: Drop attention branches too; the originals do.
        **kwargs: Arguments of :class:`ViT`, without a class token.

    Raises:
        ValueError: A class token, or no ``interval`` for the size.
    """

    def __init__(
        self,
        arch: Any = 'b',
        interval: int | None = None,
        window: int = 7,
        drop_path_attn: bool = True,
        **kwargs: Any,
    ) -> None:
        if kwargs.get('with_cls_token'):
            raise ValueError('with_cls_token=True: windows have no class token')
        if interval is None and (not isinstance(arch, str) or arch not in _INTERVALS):
            raise ValueError(
                f'arch={arch!r} needs interval, the distance of layers with full '
                f'attention; it is known for {sorted(_INTERVALS)}'
            )
        self.interval = _INTERVALS[arch] if interval is None else interval
        self.window = window
        super().__init__(arch=arch, drop_path_attn=drop_path_attn, **kwargs)

    def make_layer(self, index: int, **settings: Any) -> nn.Module:
        """Build one layer, with full attention if it is an ``interval``-th."""
        dims, heads = self.embed_dims, self.arch.num_heads
        attn: nn.Module
        if (index + 1) % self.interval:
            attn = RotatedWindowAttention(dims, heads, self.window)
        else:
            attn = PositionedAttention(dims, heads, self.grid)
        return TransformerEncoderLayer(dims, heads, attn=attn, **settings)

    def forward_intermediates(
        self, x: Tensor, indices: Sequence[int] | None = None, **routing: Any
    ) -> list[Tensor]:
        """Return the outputs of chosen layers as maps, see :class:`ViT`."""
        grid = tuple(-(-side // self.patch_size) for side in x.shape[-2:])
        return super().forward_intermediates(x, indices, grid=grid, **routing)

    def translate_checkpoint(
        self,
        state: dict[str, Tensor],
        prefix: str = '',
        mismatch: Literal['raise', 'skip'] = 'raise',
    ) -> list[str]:
        """Bring the relative positions of full attention to this model's grid.

        Args:
            state: Tensors by this model's names; changed in place.
            prefix: What precedes this backbone's own names.
            mismatch: Not used.

        Returns:
            What was done, for the log; empty if nothing.
        """
        changed = 0
        for index in range(len(self.layers)):
            for axis, cells in zip('hw', self.grid, strict=True):
                name = f'{prefix}layers.{index}.attn.full_attn_rel_pos_{axis}'
                table = state.get(name)
                if table is not None and len(table) != 2 * cells - 1:
                    state[name] = fit_offsets(table.detach(), cells).contiguous()
                    changed += 1
        if not changed:
            return []
        return [f'{changed} tables of relative positions interpolated to {self.grid}']
