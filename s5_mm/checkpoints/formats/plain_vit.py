"""ViTs under the names of timm, MAE, mmpretrain and mmseg."""

from __future__ import annotations

from collections.abc import Collection

from s5_mm.checkpoints.keys import to_segmentor_names

from .base import Format


class PlainViT(Format):
    """A plain ViT, bare or in a model of mmseg or mmdet; what nobody else claims.

    ``pos_embed`` may have a class token's slot and any square grid, see
    :func:`s5_mm.models.layers.fit_pos_embed`.
    """

    name = 'vit'
    title = 'timm, mmpretrain, mmseg, or a run of this package'

    def matches(self, names: Collection[str]) -> bool:
        """Match everything."""
        return True

    def rename(self, names: Collection[str]) -> dict[str, str]:
        """Translate a ViT's names; all others stay."""
        return to_segmentor_names(names)
