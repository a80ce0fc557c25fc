"""Segmentation models of the official S5 release."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable
from functools import cache
from pathlib import Path
from typing import Any

from s5_mm.checkpoints.errors import CheckpointError
from s5_mm.checkpoints.keys import rename_vit_key

from .checkpoint_format import Format

_DECODER = re.compile(r'^semsegdecoder(?:_(\w+))?\.decode_head\.(.+)$')
_HEAD = re.compile(r'^semseghead(?:_(\w+))?\.1\.(weight|bias)$')
_EXPERT = re.compile(r'^(layers\.\d+\.ffn\.experts\.)(\d+)\.')
#: Where the release differs from what its weights' starting point was trained with.
_SETTINGS = (
    'model.backbone.norm_eps=1e-5',
    'model.decode_head.align_corners=True',
)


@cache
def release_table() -> dict[str, Any]:
    """Read what the release's files do not say themselves.

    Returns:
        For 'segmentation' and 'detection' the data sets in the order of the experts,
        and for detection their names in this package's configs and their classes.
    """
    path = Path(__file__).with_name('official_s5.json')
    return json.loads(path.read_text(encoding='utf-8'))


class OfficialS4P(Format):
    """``*_s4p_upernet.pth`` and ``*_s4p.pth``: pre-trained UPerNet, or its ViT alone.

    The classifier is ``semseghead.1``; the decoder's own ``conv_seg`` (one class) was
    never used, and neither was the class token: a model that has one must not get it.
    """

    name = 'official-s5'
    title = 'S5 release: *_s4p.pth, *_s4p_upernet.pth'
    settings = _SETTINGS

    def matches(self, names: Collection[str]) -> bool:
        """Match the two-module head, or the release's names of a ViT at the top."""
        return 'semseghead.1.weight' in names or {
            'cls_token',
            'fpn1.1.ln.weight',
            'layers.0.attn.attn.in_proj_weight',
        } <= set(names)

    def rename(self, names: Collection[str]) -> dict[str, str]:
        """Translate to a segmentor's names."""
        renamed = {}
        for name in names:
            decoder, head = _DECODER.match(name), _HEAD.match(name)
            if head:
                renamed[name] = f'decode_head.conv_seg.{head[2]}'
            elif decoder:
                if not decoder[2].startswith('conv_seg.'):
                    renamed[name] = f'decode_head.{decoder[2]}'
            elif not name.endswith('cls_token'):
                renamed[name] = vit_name(name)
        return renamed


class OfficialMDF(Format):
    """Models of several data sets, MDF and MoE-MDF (``s5_vit_*_moe_mdf.pth``).

    The first data set's decoder has no suffix; one data set is written with capitals.
    Experts are numbered in the order of the release's task list.
    """

    name = 'official-s5-mdf'
    title = 'S5 release: MDF and MoE-MDF segmentation, best.pth, latest.pth'
    settings = (
        *_SETTINGS,
        'model.datasets.loveda.test_cfg.windows=5',
    )

    def matches(self, names: Collection[str]) -> bool:
        """Match a head that is named after its data set."""
        return any(name.startswith('semseghead_') for name in names)

    def rename(self, names: Collection[str]) -> dict[str, str]:
        """Translate to the names of a ``s5_mm.MultiDatasetSegmentor``.

        Raises:
            CheckpointError: A decoder cannot be told to be whose, or there are experts
                of other data sets than the release's.
        """
        table = release_table()['segmentation']
        heads = {m[1].lower() for m in map(_HEAD.match, names) if m}
        experts = order_of_experts(names, heads, table['experts'], 'encoder.')
        renamed = {}
        for name in names:
            decoder, head = _DECODER.match(name), _HEAD.match(name)
            if head:
                owner = head[1].lower()
                renamed[name] = f'decode_heads.{owner}.conv_seg.{head[2]}'
            elif decoder:
                owner = (decoder[1] or table['first_decoder']).lower()
                if owner not in heads:
                    raise CheckpointError(
                        f'{name} is the decoder of {owner!r}, but there are class '
                        f'layers for {sorted(heads)} only'
                    )
                if not decoder[2].startswith('conv_seg.'):
                    renamed[name] = f'decode_heads.{owner}.{decoder[2]}'
            elif not name.endswith('cls_token'):
                renamed[name] = vit_name(name, experts)
        return renamed


def vit_name(name: str, experts: dict[int, str] | None = None) -> str:
    """Translate a name of the release's ViT.

    Args:
        name: With or without ``encoder.`` or ``backbone.``.
        experts: Names of the data sets by their experts' numbers.

    Returns:
        Our name below ``backbone.``.
    """
    bare = re.sub(r'^(?:encoder|backbone)\.', '', name)
    if experts:
        bare = _EXPERT.sub(lambda m: f'{m[1]}{experts[int(m[2])]}.', bare)
    return f'backbone.{rename_vit_key(bare)}'


def order_of_experts(
    names: Iterable[str], heads: Collection[str], known: list[str], prefix: str
) -> dict[int, str]:
    """Say whose the numbered experts of a file are.

    Args:
        names: All names in the file.
        heads: Data sets that the file has heads for.
        known: The release's data sets in the order of its experts.
        prefix: What precedes the ViT's names.

    Returns:
        Data set by number; empty without experts.

    Raises:
        CheckpointError: The experts are not as many as, or not those of the release.
    """
    own = (n[len(prefix) :] for n in names if n.startswith(prefix))
    numbers = {int(m[2]) for m in map(_EXPERT.match, own) if m}
    if not numbers:
        return {}
    if numbers != set(range(len(known))) or set(heads) != set(known):
        raise CheckpointError(
            f'it has experts {sorted(numbers)} and heads for {sorted(heads)}; whose '
            f'the experts are is known for the release only: {known}, in this order'
        )
    return dict(enumerate(known))
