"""Whether the parts of a model fit together, before they are built."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.config import Config

# Backbones of one width, which `arch` decides.
_PLAIN = ('s5_mm.ViT', 's5_mm.ViTMoE', 's5_mm.ViTRVSA')
_HEADS = ('decode_head', 'auxiliary_head')


def check_channels(cfg: Config) -> None:
    """Refuse a neck or head that takes other channels than the backbone gives.

    torch would say so in the middle of the first step, in terms of matrices.

    Args:
        cfg: The config.

    Raises:
        ValueError: Naming both settings and the values that go together.
    """
    for where, model in _models(cfg.get('model'), 'model'):
        backbone = model['backbone']
        if backbone.get('type') not in _PLAIN or 'arch' not in backbone:
            continue
        # Here, as the package of models takes seconds to import.
        from s5_mm.models.backbones.vit_arch import resolve_arch

        arch = backbone['arch']
        try:
            width = resolve_arch(arch).embed_dims
        except ValueError as error:
            raise ValueError(f'{where}.backbone.arch: {error}') from error
        for key, part in _takers(model, where):
            found = part.get('in_channels')
            many = isinstance(found, (list, tuple))
            if found is None or set(found if many else [found]) == {width}:
                continue
            right = [width] * len(found) if many else width
            option = str(right).replace(' ', '')
            raise ValueError(
                f'{where}.backbone.arch={arch!r} gives {width} channels, '
                f'{key}.in_channels is {found}, expected {right}; add '
                f'{key}.in_channels={option} to --cfg-options, or write it into the '
                'config'
            )


def _models(node: Any, key: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Parts of a config that have a backbone, and their keys."""
    if not isinstance(node, dict):
        return
    if isinstance(node.get('backbone'), dict):
        yield key, node
    for name, child in node.items():
        if name != 'backbone':
            yield from _models(child, f'{key}.{name}')


def _takers(
    model: Mapping[str, Any], where: str
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """What takes the features of a model's backbone: a neck, or else the heads."""
    for key, part in ((where, model), (f'{where}.detector', model.get('detector'))):
        if isinstance(part, dict) and isinstance(part.get('neck'), dict):
            yield f'{key}.neck', part['neck']
            return
    for name in _HEADS:
        if isinstance(model.get(name), dict):
            yield f'{where}.{name}', model[name]
