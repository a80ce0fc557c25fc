"""ViTs under the names of timm, MAE, mmpretrain and mmseg."""

from __future__ import annotations

import re
from collections.abc import Collection

from s5_mm.checkpoints.foreign_parts import lacking_in_plain_vit
from s5_mm.checkpoints.keys import to_segmentor_names

from .checkpoint_format import Format

_PATCHES = 'backbone.patch_embed.projection.weight'
_BLOCK = re.compile(r'backbone\.layers\.0\.(?:attn|ln1)\.')


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

    def lacking(self, names: Collection[str]) -> list[str]:
        """List what a plain ViT does not have, if it is one that is in the file."""
        is_vit = any(_BLOCK.match(name) for name in names)
        return lacking_in_plain_vit(names) if is_vit and _PATCHES in names else []
