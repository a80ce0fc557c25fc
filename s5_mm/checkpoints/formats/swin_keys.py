"""Swin transformers under the original's names."""

from __future__ import annotations

import re
from collections.abc import Collection

from torch import Tensor

from .checkpoint_format import Format

_RENAMES = tuple(
    (re.compile(pattern), target)
    for pattern, target in (
        (r'^layers\.', 'stages.'),
        (r'^patch_embed\.proj\.', 'patch_embed.projection.'),
        (r'^(stages\.\d+\.blocks\.\d+\.)attn\.', r'\1attn.w_msa.'),
        (r'^(stages\.\d+\.blocks\.\d+\.)mlp\.fc1\.', r'\1ffn.layers.0.0.'),
        (r'^(stages\.\d+\.blocks\.\d+\.)mlp\.fc2\.', r'\1ffn.layers.1.'),
    )
)
_COMPUTED = ('relative_position_index', 'relative_coords_table', 'attn_mask')
_TIMM_MERGING = re.compile(r'^layers\.([1-9])\.(downsample\.)')
_V2 = re.compile(r'\.(?:logit_scale$|cpb_mlp\.)')
_MERGED = re.compile(r'\.downsample\.(reduction\.weight|norm\.(?:weight|bias))$')
# The original stacks the four pixels of a patch by columns, torch's unfold by rows,
# and unfold keeps the pixels of a channel together.
_PIXELS = (0, 2, 1, 3)


class Swin(Format):
    """Swin, SimMIM and GFM (Swin-B), for mmseg's and mmdet's ``SwinTransformer``.

    Bias tables of another window are resampled when they are loaded
    (:func:`s5_mm.checkpoints.swin_tables.fit_bias_tables`).
    """

    name = 'swin'
    title = 'Swin (also timm), SimMIM, GFM'

    def matches(self, names: Collection[str]) -> bool:
        """Match the original's blocks in stages."""
        return any(
            re.match(r'(?:encoder\.)?layers\.0\.blocks\.0\.attn\.qkv\.', name)
            for name in names
        )

    def rename(self, names: Collection[str]) -> dict[str, str]:
        """Translate to a segmentor's or detector's names.

        Only the encoder of a pre-training model is taken.  The norm after the last
        stage is the host's ``norm3``.
        """
        encoder = any(name.startswith('encoder.') for name in names)
        start = 'encoder.' if encoder else ''
        # timm merges the patches at the start of a stage, the original at the end.
        timm = not any(n.startswith(f'{start}layers.0.downsample.') for n in names)
        renamed = {}
        for name in names:
            if encoder and not name.startswith('encoder.'):
                continue
            bare = name.removeprefix('encoder.')
            if bare.startswith(('head.', 'mask_token')) or bare.endswith(_COMPUTED):
                continue
            new = re.sub(r'^norm\.', 'norm3.', bare)
            if timm:
                new = _TIMM_MERGING.sub(lambda m: f'layers.{int(m[1]) - 1}.{m[2]}', new)
            for pattern, target in _RENAMES:
                new = pattern.sub(target, new)
            renamed[name] = f'backbone.{new}'
        return renamed

    def lacking(self, names: Collection[str]) -> list[str]:
        """List what Swin V2 has besides."""
        return [name for name in names if _V2.search(name)]

    def adapt(self, state: dict[str, Tensor]) -> list[str]:
        """Reorder what merges patches."""
        for name, tensor in state.items():
            if _MERGED.search(name):
                columns = tensor.shape[-1] // 4
                pixels = tensor.unflatten(-1, (4, columns))[..., list(_PIXELS), :]
                state[name] = pixels.transpose(-2, -1).flatten(-2)
        return ["inputs of the patch merging in the host's order"]
