"""ViTs under the names of Hugging Face's transformers."""

from __future__ import annotations

import re
from collections.abc import Collection

import torch
from torch import Tensor

from .plain_vit import PlainViT

# In files, and as transformers 5 names its parameters in memory.
_PATCHES = re.compile(r'^(.*?)embeddings\.patch_embeddings\.(?:projection\.)?weight$')
_BLOCK = r'^(?:encoder\.)?layers?\.(\d+)\.'
_RENAMES = tuple(
    (re.compile(pattern), target)
    for pattern, target in (
        (r'^embeddings\.position_embeddings$', 'pos_embed'),
        (
            r'^embeddings\.patch_embeddings\.(?:projection\.)?',
            'patch_embed.projection.',
        ),
        (r'^embeddings\.', ''),
        (r'^(?:layernorm|norm)\.', 'ln.'),
        (_BLOCK, r'layers.\1.'),
        (r'^(layers\.\d+\.)attention\.attention\.', r'\1attention.'),
        (r'^(layers\.\d+\.)(?:layernorm_before|norm1)\.', r'\1ln1.'),
        (r'^(layers\.\d+\.)(?:layernorm_after|norm2)\.', r'\1ln2.'),
        (
            r'^(layers\.\d+\.)attention\.(?:output\.dense|o_proj)\.',
            r'\1attn.attn.out_proj.',
        ),
        (r'^(layers\.\d+\.)(?:intermediate\.dense|mlp\.fc1)\.', r'\1ffn.layers.0.0.'),
        (r'^(layers\.\d+\.)(?:output\.dense|mlp\.fc2)\.', r'\1ffn.layers.1.'),
        (
            r'^(layers\.\d+\.)attention\.(query|key|value)\.(weight|bias)$',
            r'\1attn.attn.\2_\3',
        ),
        (
            r'^(layers\.\d+\.)attention\.([qkv])_proj\.(weight|bias)$',
            r'\1attn.attn.\2_\3',
        ),
    )
)
_LEFT_OUT = ('decoder.', 'pooler.', 'classifier.')
_PART = re.compile(r'^(.*\.attn\.attn\.)(?:q|query)_(weight|bias)$')
_PARTS = (('q', 'k', 'v'), ('query', 'key', 'value'))


class HuggingFaceViT(PlainViT):
    """ViT, ViTMAE, ViT-MSN and I-JEPA of transformers, alone or below ``vit.``.

    Query, key and value are three layers there and one here.  Models whose blocks have
    more (DINOv2, DINOv3, BEiT, DeiT with a distillation token) are recognised by the
    same names and refused when they are loaded.
    """

    name = 'huggingface'
    title = 'ViT, ViTMAE, ViT-MSN, I-JEPA of transformers'
    settings = ('model.backbone.norm_eps=1e-12',)

    def matches(self, names: Collection[str]) -> bool:
        """Match the embedding of the patches."""
        return any(_PATCHES.match(name) for name in names)

    def rename(self, names: Collection[str]) -> dict[str, str]:
        """Translate the encoder; heads, decoder and pooler are left out."""
        root = min((m[1] for m in map(_PATCHES.match, names) if m), key=len)
        renamed = {}
        for name in names:
            own = name[len(root) :]
            if not name.startswith(root) or re.match(
                r'(?:decoder|pooler|classifier)\.', own
            ):
                continue
            for pattern, target in _RENAMES:
                own = pattern.sub(target, own)
            renamed[name] = f'backbone.{own}'
        return renamed

    def adapt(self, state: dict[str, Tensor]) -> list[str]:
        """Join query, key and value."""
        for name in list(state):
            part = _PART.match(name)
            if not part:
                continue
            for parts in _PARTS:
                own = [f'{part[1]}{letter}_{part[2]}' for letter in parts]
                if all(key in state for key in own):
                    joined = torch.cat([state.pop(key) for key in own])
                    state[f'{part[1]}in_proj_{part[2]}'] = joined
        return []
