"""Parameters of a checkpoint that a model has no place for, and whose they are.

A model that leaves out LayerScale, register tokens or relative positions loads what
remains and computes other features, so those are an error and not a remark.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping

from torch import Tensor

from .keys import summarise_keys

#: First parts of names below a backbone that follow its last layer, or belong to
#: pre-training; the features of the layers do not depend on them.
IGNORABLE = re.compile(
    r'(?:cls_token|mask_token|masked_embed|ln\d?|norm\d?|fc_norm|fc|classifier|pooler'
    r'|attn_pool|fpn\d?|pre_logits|prototypes?|\w*head\w*|\w*decoder\w*|\w*neck\w*|\w*predictor\w*|\w*projector\w*'
    r'|data_preprocessor|teacher|student|steps|n_averaged)(?:\.|$)'
)
# What a model computes for itself, and other tools store.
_COMPUTED = re.compile(
    r'(?:relative_position_index|relative_coords_table|attn_mask|num_batches_tracked)$'
)
# Of a mixture, a model takes the experts that it knows.
_MIXTURE = re.compile(r'.*\.experts\.')
_ROOT = re.compile(r'(?:.*?\.)?backbone\.')
# A numbered part, `layers.3.` or `layer3.0.`: what holds it, and its number.
_NUMBERED = re.compile(r'([\w.]*?\.)\d+\.')
# What a plain ViT consists of, in this package's names.
_PLAIN = re.compile(
    r'pos_embed$|patch_embed\.projection\.(?:weight|bias)$'
    r'|layers\.\d+\.(?:ln[12]\.(?:weight|bias)'
    r'|attn\.attn\.(?:in_proj_|out_proj\.)(?:weight|bias)'
    r'|ffn\.(?:layers\.(?:0\.0|1)\.(?:weight|bias)|experts\..*))$'
)
_FEATURES = {
    name: re.compile(pattern)
    for name, pattern in {
        'LayerScale': (
            r'\.(?:ls[12]\.gamma|gamma[12]\.weight|(?:gamma|lambda)_[12]'
            r'|layer_scale[12]\.lambda1)$'
        ),
        'register tokens': r'(?:^|\.)(?:reg_token|register_tokens|storage_tokens)$',
        'rotary positions': r'(?:^|\.)rope',
        'SwiGLU': r'\.(?:mlp|ffn)\.(?:w\d+|fc1_[gx]|gate_proj|weights_in)\.',
        'relative positions': r'relative_position_bias|\.rel_pos(?:_[hw]$|\.)',
        'biases of query and value alone': r'\.[qv]_bias$',
        'norms of queries and keys': r'\.attn\.[qk]_norm\.',
        'a norm before the first layer': r'(?:^|\.)(?:norm_pre|pre_norm|ln_pre)\.',
        'a distillation token': r'(?:^|\.)(?:dist|distillation)_token$',
        'cosine attention': r'\.(?:logit_scale$|cpb_mlp\.)',
    }.items()
}


def lacking_in(model: Collection[str], names: Iterable[str]) -> list[str]:
    """List the parameters of a checkpoint without which a backbone is another one.

    Of a ViT these are all names below the backbone but for :data:`IGNORABLE` ones; of
    another backbone those in a sequence of blocks that the model has.

    Args:
        model: Names of all parameters of the model.
        names: Names in the checkpoint, translated to those of the model.

    Returns:
        Names that the model lacks.
    """
    roots = {m[0] for m in map(_ROOT.match, model) if m} or {''}
    plain = {root for root in roots if f'{root}pos_embed' in model}
    known = set(model)
    mixtures = {m[0] for m in map(_MIXTURE.match, model) if m}
    holders = {m[1] for m in map(_NUMBERED.match, _below(roots, model)) if m}
    lacking = []
    for name in names:
        root = next((r for r in roots if name.startswith(r)), None)
        if root is None or name in known or _COMPUTED.search(name):
            continue
        mixture = _MIXTURE.match(name)
        if mixture and mixture[0] in mixtures:
            continue
        rest = name[len(root) :]
        block = _NUMBERED.match(rest)
        if (block and block[1] in holders) or (
            root in plain and not IGNORABLE.match(rest)
        ):
            lacking.append(name)
    return lacking


def _below(roots: Iterable[str], names: Iterable[str]) -> list[str]:
    """Names below the roots, without them."""
    return [
        name[len(root) :] for root in roots for name in names if name.startswith(root)
    ]


def lacking_in_plain_vit(names: Iterable[str]) -> list[str]:
    """List what is not part of a plain ViT.

    Args:
        names: Names in a checkpoint, translated to this package's, of a ViT below
            ``backbone.``.

    Returns:
        Names below ``backbone.`` that no model of this package has.
    """
    own = (name for name in names if name.startswith('backbone.'))
    return [
        name
        for name in own
        if not _PLAIN.match(name[9:])
        and not IGNORABLE.match(name[9:])
        and not _COMPUTED.search(name)
    ]


def describe_lacking(
    lacking: Collection[str],
    state: Mapping[str, Tensor],
    source: Mapping[str, str] | None = None,
) -> str:
    """Say what a model lacks, and of which family the checkpoint is.

    Args:
        lacking: Names that the model lacks, at least one.
        state: The whole checkpoint, by names that ``lacking`` is a part of.
        source: Name in the file for each of these names, if it is another one.

    Returns:
        For example ``weights of DINOv3, with LayerScale (blocks.{0..11}.gamma_1, ...),
        register tokens (reg_token)``.
    """
    groups: dict[str, list[str]] = {}
    for name in lacking:
        found = (key for key, value in _FEATURES.items() if value.search(name))
        own = (source or {}).get(name, name)
        groups.setdefault(next(found, 'more'), []).append(own)
    more = groups.pop('more', [])
    parts = [f'{name} ({_brief(keys)})' for name, keys in groups.items()]
    if more:
        parts.append(f'parameters named {_brief(more)}')
    family = next((n for n, fits in _FAMILIES.items() if fits(set(groups), state)), '')
    return f'weights{family and f" of {family},"} with {", ".join(parts)}'


def _brief(names: list[str], most: int = 4) -> str:
    """Summarise names, the first few groups of them."""
    parts = re.split(r', (?![^{]*\})', summarise_keys(names))
    return ', '.join(parts[:most]) + (', ...' if len(parts) > most else '')


def _has(state: Mapping[str, Tensor], *endings: str) -> bool:
    """Tell whether a name ends in one of these."""
    return any(name.endswith(endings) for name in state)


def _patch(state: Mapping[str, Tensor]) -> int:
    """Side of the patches in pixels, 0 if unknown."""
    ending = 'patch_embed.projection.weight'
    sides = (value.shape[-1] for name, value in state.items() if name.endswith(ending))
    return next(sides, 0)


def _has_square_grid(state: Mapping[str, Tensor]) -> bool:
    """Tell whether there are positions, without a slot for the class token."""
    for name, value in state.items():
        if name.endswith('pos_embed') and value.ndim == 3:
            return math.isqrt(value.shape[1]) ** 2 == value.shape[1]
    return False


# In the order in which they are tried, each by its features and the whole file.
_FAMILIES: dict[str, Callable[[set[str], Mapping[str, Tensor]], bool]] = {
    'Swin V2': lambda f, s: 'cosine attention' in f,
    'SAM': lambda f, s: _has(s, '.rel_pos_h'),
    'BEiT': lambda f, s: _has(s, 'relative_position_bias_table', 'lambda_1'),
    'DINOv3': lambda f, s: (
        {'LayerScale', 'register tokens'} <= f and not _has(s, 'pos_embed')
    ),
    'DINOv2': lambda f, s: (
        'LayerScale' in f and (_patch(s) == 14 or _has(s, 'mask_token'))
    ),
    'DeiT III': lambda f, s: f == {'LayerScale'} and _has_square_grid(s),
    'distilled DeiT': lambda f, s: 'a distillation token' in f,
    'CLIP': lambda f, s: 'a norm before the first layer' in f,
    'EVA': lambda f, s: bool(f & {'SwiGLU', 'biases of query and value alone'}),
}
