"""Sizes of the plain ViTs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_REQUIRED = ('embed_dims', 'num_layers', 'num_heads')
_OPTIONAL = ('mlp_ratio', 'out_indices')


@dataclass(frozen=True)
class ViTArch:
    """Size of a plain ViT.

    Attributes:
        embed_dims: Width C.
        num_layers: Depth.
        num_heads: Attention heads.
        out_indices: Layers whose output is tapped, 0-based, ascending.
        mlp_ratio: Hidden width of the feed-forward part over C.
    """

    embed_dims: int
    num_layers: int
    num_heads: int
    out_indices: tuple[int, ...]
    mlp_ratio: float = 4.0


# Taps of b, l, h: the official release. s: those of b, which is as deep. t (for tests
# and laptops): after the 2nd, 3rd, 5th and last of six layers. g: the size that has the
# numbers of parameters of the paper's Table 1 for "ViT-G", to the last digit it prints
# for segmentation; tapped after each quarter.
ARCHS = {
    't': ViTArch(192, 6, 3, (1, 2, 4, 5)),
    's': ViTArch(384, 12, 6, (3, 5, 7, 11)),
    'b': ViTArch(768, 12, 12, (3, 5, 7, 11)),
    'l': ViTArch(1024, 24, 16, (7, 11, 15, 23)),
    'h': ViTArch(1280, 32, 16, (15, 23, 27, 31)),
    'g': ViTArch(1408, 40, 16, (9, 19, 29, 39)),
}


def _spread_taps(num_layers: int) -> tuple[int, ...]:
    """Tap after each quarter of the depth."""
    return tuple(num_layers * quarter // 4 - 1 for quarter in (1, 2, 3, 4))


def resolve_arch(
    arch: str | Mapping[str, Any], out_indices: Sequence[int] | None = None
) -> ViTArch:
    """Turn the ``arch`` argument of a ViT into sizes.

    Args:
        arch: Name in :data:`ARCHS`, or a mapping with ``embed_dims``, ``num_layers``,
            ``num_heads`` and optionally ``mlp_ratio`` and ``out_indices`` (default:
            after each quarter of the depth).
        out_indices: Taps that replace the architecture's.

    Returns:
        The sizes.

    Raises:
        ValueError: Unknown name or key, missing key, or taps that do not ascend
            within the depth.
    """
    if isinstance(arch, str):
        if arch not in ARCHS:
            raise ValueError(
                f'arch={arch!r} is unknown; allowed: {sorted(ARCHS)} or a dict with '
                f'{list(_REQUIRED)}'
            )
        found = ARCHS[arch]
    else:
        missing = [key for key in _REQUIRED if key not in arch]
        unknown = sorted(set(arch) - {*_REQUIRED, *_OPTIONAL})
        if missing or unknown:
            raise ValueError(
                f'arch={dict(arch)} misses {missing} and has unknown keys {unknown}; '
                f'required: {list(_REQUIRED)}, optional: {list(_OPTIONAL)}'
            )
        sizes = dict(arch)
        taps = sizes.pop('out_indices', None) or _spread_taps(int(arch['num_layers']))
        found = ViTArch(out_indices=tuple(taps), **sizes)
    taps = found.out_indices if out_indices is None else tuple(out_indices)
    ascending = all(a < b for a, b in zip(taps, taps[1:], strict=False))
    if not taps or not ascending or taps[0] < 0 or taps[-1] >= found.num_layers:
        raise ValueError(
            f'out_indices={list(taps)} must ascend within 0 to {found.num_layers - 1}'
        )
    return ViTArch(
        found.embed_dims, found.num_layers, found.num_heads, taps, found.mlp_ratio
    )
