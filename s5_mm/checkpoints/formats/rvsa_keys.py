"""ViTs with rotated varied-size window attention."""

from __future__ import annotations

from collections.abc import Collection

from .plain_vit import PlainViT


class RVSA(PlainViT):
    """RVSA, SAMRS and MTP: timm's names, and those of the windows beside them."""

    name = 'rvsa'
    title = 'RVSA, SAMRS, MTP: for s5_mm.ViTRVSA'

    def matches(self, names: Collection[str]) -> bool:
        """Match the layers that predict the windows."""
        return any('.attn.sampling_offsets.' in name for name in names)

    def rename(self, names: Collection[str]) -> dict[str, str]:
        """Translate; the index of the bias table is computed, not loaded."""
        return super().rename(
            [name for name in names if not name.endswith('.relative_position_index')]
        )

    def lacking(self, names: Collection[str]) -> list[str]:
        """List what neither a plain ViT nor the attention of RVSA has."""
        return [name for name in super().lacking(names) if '.attn.' not in name]
