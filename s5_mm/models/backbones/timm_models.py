"""Models of timm, built without the network and divided into stages."""

from __future__ import annotations

import difflib
import importlib
import re
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

import torch
from torch import nn

# What the backbone decides, or what would read a file or the network.
_RESERVED = frozenset(
    {
        'cache_dir',
        'checkpoint_path',
        'feature_cfg',
        'feature_cls',
        'features_only',
        'num_classes',
        'out_indices',
        'pretrained',
        'pretrained_cfg',
        'pretrained_cfg_overlay',
    }
)
# Any of these says how images of other sizes are taken.
_SIZES = frozenset({'dynamic_img_size', 'img_size', 'strict_img_size'})


def import_timm() -> ModuleType:
    """Import timm.

    Raises:
        ImportError: It is not installed; the message says what installs it.
    """
    try:
        return importlib.import_module('timm')
    except ImportError as error:
        raise ImportError(
            f"s5_mm.TimmBackbone needs timm: pip install 's5_mm[timm]' ({error})"
        ) from error


def build_extractor(
    name: str, out_indices: Sequence[int], model_args: Mapping[str, Any]
) -> nn.Module:
    """Build a timm model that returns maps, with random weights.

    Args:
        name: Name of the model.
        out_indices: Maps to return.
        model_args: Further arguments of ``timm.create_model``.

    Returns:
        timm's feature extractor, without stages that no map needs.

    Raises:
        ImportError: timm is not installed.
        ValueError: timm has no such model or maps, or does not take an argument.
    """
    timm = import_timm()
    _check_name(timm, name)
    if refused := sorted(_RESERVED & set(model_args)):
        raise ValueError(
            f'model_args has {refused}, which the backbone sets; weights come by '
            "init_cfg=dict(type='Pretrained', checkpoint=...)"
        )
    _check_indices(name, out_indices, model_args)
    sized = timm.get_pretrained_cfg_value(name, 'fixed_input_size')
    flexible = (
        {'dynamic_img_size': True} if sized and not _SIZES & set(model_args) else {}
    )

    def build(**more: Any) -> nn.Module:
        return timm.create_model(
            name,
            pretrained=False,
            features_only=True,
            out_indices=tuple(out_indices),
            **model_args,
            **more,
        )

    try:
        try:
            net = build(**flexible)
        except TypeError:
            net = build()  # takes images of one size only
    except (AssertionError, RuntimeError, TypeError) as error:
        raise ValueError(f'model={name!r} cannot return maps: {error}') from error
    _drop_unused_blocks(net)
    return net


def build_whole(name: str, model_args: Mapping[str, Any]) -> nn.Module:
    """Build a timm model with its classifier on the meta device, for its names.

    Args:
        name: Name of the model.
        model_args: Further arguments of ``timm.create_model``.

    Raises:
        ValueError: timm does not take an argument.
    """
    try:
        with torch.device('meta'):
            return import_timm().create_model(name, pretrained=False, **model_args)
    except (TypeError, RuntimeError) as error:
        raise ValueError(f'timm.create_model({name!r}): {error}') from error


def feature_info(net: nn.Module) -> Any:
    """Return timm's description of the maps, its ``FeatureInfo``.

    Args:
        net: What :func:`build_extractor` returns.
    """
    return net.feature_info


def find_stages(net: nn.Module) -> list[list[str]]:
    """Divide a feature extractor of timm into its stem and its stages.

    Where the maps are those of the entries of one container (``blocks`` of
    EfficientNet and ViT), each entry is a stage.  Elsewhere a stage ends at a module
    that timm's ``feature_info`` names; the stem is what comes before the first of
    them, and itself where its stride is 2 or less.

    Args:
        net: What :func:`build_extractor` returns.

    Returns:
        Names of the modules and lone parameters of the stem, then of each stage, in the
        order of the forward pass; empty if they cannot be told.
    """
    body: nn.Module = getattr(net, 'model', net)
    root = '' if body is net else 'model.'
    info = feature_info(net).info
    order = [name for name, _ in body.named_children()]
    lone = [name for name, _ in body.named_parameters(recurse=False)]
    taps = [str(entry['module']) for entry in info]
    holder = taps[-1].partition('.')[0]
    if '.' in taps[-1] and holder in order:
        stem = [*lone, *order[: order.index(holder)]]
        stages = [[f'{holder}.{i}'] for i in range(len(getattr(body, holder)))]
        return [[root + name for name in group] for group in (stem, *stages)]
    ends = [tap.replace('.', '_', 1) for tap in taps]
    # The last stages are gone if no map needs them.
    ends = [end for end in ends if end in order]
    if not ends or ends[0] != taps[0].replace('.', '_', 1):
        return []
    if info[0]['reduction'] <= 2:
        stem_end, ends = order.index(ends[0]) + 1, ends[1:]
    else:
        stem_end = order.index(ends[0])
    bounds = [stem_end, *(order.index(end) + 1 for end in ends)]
    groups = [[*lone, *order[:stem_end]]]
    groups += [order[a:b] for a, b in zip(bounds, bounds[1:], strict=False)]
    return [[root + name for name in group] for group in groups]


def stage_of(name: str, stages: Sequence[Sequence[str]]) -> int:
    """Number of the stage that a module or parameter belongs to.

    Args:
        name: Name in the extractor.
        stages: Of :func:`find_stages`.

    Returns:
        0 for the stem, ``len(stages)`` for what follows the last stage.
    """
    for number, parts in enumerate(stages):
        if any(name == part or name.startswith(f'{part}.') for part in parts):
            return number
    return len(stages)


def _check_name(timm: ModuleType, name: str) -> None:
    """Refuse a model that timm does not have."""
    arch, _, tag = name.partition('.')
    if not timm.is_model(arch):
        close = difflib.get_close_matches(arch, timm.list_models(), n=5)
        hint = f'close to it: {", ".join(close)}' if close else 'see timm.list_models()'
        raise ValueError(f'model={name!r} is not in timm {timm.__version__}; {hint}')
    if tag:
        raise ValueError(
            f'model={name!r} names weights ({tag}), which timm would fetch; allowed is '
            f'{arch!r}, with its weights by init_cfg'
        )


def _check_indices(
    name: str, out_indices: Sequence[int], model_args: Mapping[str, Any]
) -> None:
    """Refuse maps that a model does not have."""
    info = getattr(build_whole(name, model_args), 'feature_info', None)
    if not info:
        raise ValueError(f'model={name!r} cannot return maps: timm describes none')
    count = len(info)
    indices = list(out_indices)
    fits = all(isinstance(i, int) and 0 <= i < count for i in indices)
    if not indices or not fits or sorted(set(indices)) != indices:
        raise ValueError(
            f'out_indices={out_indices} of {name}; allowed are ascending numbers of '
            f'its maps, 0 to {count - 1}'
        )


def _drop_unused_blocks(net: nn.Module) -> None:
    """Remove blocks after the last map, which timm's EfficientNet keeps and runs."""
    last = re.fullmatch(r'blocks\.(\d+)(?:\..*)?', feature_info(net).module_name()[-1])
    blocks = getattr(net, 'blocks', None)
    if last and isinstance(blocks, nn.Sequential):
        del blocks[int(last[1]) + 1 :]
