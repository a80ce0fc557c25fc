"""Names of parameters in other people's checkpoints, and ours."""

from __future__ import annotations

import re
from collections.abc import Iterable

# Names of one ViT after its prefix is gone. timm and Meta's MAE say `blocks`, `norm`,
# `qkv`, `mlp`; mmpretrain says `layers` but `attn.qkv`. Ours are those of the official
# release and of mmseg. The final norm is `ln` here, `norm` (timm), `ln1` (mmseg).
_VIT_RENAMES = tuple(
    (re.compile(pattern), target)
    for pattern, target in (
        (r'^blocks\.', 'layers.'),
        (r'^(layers\.\d+\.)norm([12])\.', r'\1ln\2.'),
        (r'^(?:norm|ln1)\.', 'ln.'),
        (r'^patch_embed\.proj\.', 'patch_embed.projection.'),
        (r'^(layers\.\d+\.attn\.)qkv\.', r'\1attn.in_proj_'),
        (r'^(layers\.\d+\.attn\.)proj\.', r'\1attn.out_proj.'),
        (r'^(layers\.\d+\.)mlp\.fc1\.', r'\1ffn.layers.0.0.'),
        (r'^(layers\.\d+\.)mlp\.fc2\.', r'\1ffn.layers.1.'),
    )
)
_VIT_MARK = re.compile(r'^(.*?)patch_embed\.proj(?:ection)?\.weight$')
# Of mmengine's and torch's averaged models, next to ``module.``.
_COUNTERS = ('steps', 'n_averaged')
_ROOTS = ('', 'encoder.', 'backbone.', 'student.backbone.')


def rename_vit_key(name: str) -> str:
    """Translate one name of a bare ViT (timm, MAE, mmpretrain, mmseg) into ours.

    Args:
        name: Name without prefix, e.g. ``blocks.3.attn.qkv.weight``.

    Returns:
        Our name, e.g. ``layers.3.attn.attn.in_proj_weight``; an unknown name as it is.
    """
    for pattern, target in _VIT_RENAMES:
        name = pattern.sub(target, name)
    return name


def _vit_prefix(names: Iterable[str]) -> str | None:
    """Find what precedes the names of the ViT in a checkpoint, None without one.

    Of several (student and teacher) the student's is taken.
    """
    found = {match[1] for match in map(_VIT_MARK.match, names) if match}
    if not found:
        return None
    return min(found, key=lambda prefix: (prefix not in _ROOTS, len(prefix), prefix))


def plain_names(names: Iterable[str]) -> dict[str, str]:
    """Take what DDP and ``torch.compile`` put before names away.

    Args:
        names: All names of one file.

    Returns:
        Each name, and the name without ``module.`` (where all have it, but for the
        counter of an averaged model) and ``_orig_mod.``.
    """
    plain = {name: name.replace('_orig_mod.', '') for name in names}
    while True:
        counted = {old for old, new in plain.items() if new not in _COUNTERS}
        if not counted or not all(plain[n].startswith('module.') for n in counted):
            return plain
        plain = {old: new.removeprefix('module.') for old, new in plain.items()}


def to_segmentor_names(names: Iterable[str]) -> dict[str, str]:
    """Translate the names of a checkpoint to those of an mmseg segmentor with our ViT.

    Recognised by the names themselves: a bare ViT in our, timm's, Meta's MAE or
    mmpretrain's names, under any prefix; mmseg segmentors and semi-supervised wrappers
    (``student.``). Names that belong to none of these stay as they are.

    Args:
        names: All names of one file.

    Returns:
        Each name and its translation, ``backbone.*`` or ``decode_head.*``.
    """
    plain = plain_names(names)
    prefix = _vit_prefix(plain.values())
    return {
        old: f'backbone.{rename_vit_key(new[len(prefix) :])}'
        if prefix is not None and new.startswith(prefix)
        else new.removeprefix('student.')
        for old, new in plain.items()
    }


def summarise_keys(names: Iterable[str]) -> str:
    """List names briefly: numbered siblings become one entry.

    Args:
        names: Names of parameters.

    Returns:
        For example ``decoder_blocks.{0..7}.norm1.weight, mask_token``; every name is
        covered.
    """
    groups: dict[str, list[int]] = {}
    for name in names:
        number = re.search(r'(?<=\.)\d+(?=\.)', name)
        if number is None:
            groups.setdefault(name, [])
            continue
        pattern = f'{name[: number.start()]}\0{name[number.end() :]}'
        groups.setdefault(pattern, []).append(int(number[0]))
    return ', '.join(
        pattern.replace('\0', _ranges(numbers)) for pattern, numbers in groups.items()
    )


def _ranges(numbers: list[int]) -> str:
    """Write integers as ``3`` or ``{0..2,5}``."""
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    parts = [str(a) if a == b else f'{a}..{b}' for a, b in runs]
    single = len(runs) == 1 and runs[0][0] == runs[0][1]
    return parts[0] if single else '{' + ','.join(parts) + '}'
