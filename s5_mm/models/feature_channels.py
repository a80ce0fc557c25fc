"""Channels of what a backbone returns, for the parts that are built behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn


def fit_in_channels(
    config: Mapping[str, Any], backbone: nn.Module, where: str
) -> dict[str, Any]:
    """Give a head the channels of the maps that it takes from a backbone.

    Args:
        config: Config of the head; ``in_index`` names its maps (-1, as in mmseg, if it
            is left out).
        backbone: The backbone; one without ``feature_channels`` is not known.
        where: The head's place in the config, for messages.

    Returns:
        The config, with ``in_channels`` if they were left out.

    Raises:
        ValueError: ``in_channels`` are not those of the backbone, or ``in_index`` names
            maps that it does not return.
    """
    channels = getattr(backbone, 'feature_channels', None)
    found = config.get('in_channels')
    # Some heads of mmseg take all maps without an ``in_index``.
    every = isinstance(found, Sequence) and 'in_index' not in config
    if channels is None or every:
        return dict(config)
    index = config.get('in_index', -1)
    try:
        fitting = (
            [channels[i] for i in index]
            if isinstance(index, Sequence)
            else channels[index]
        )
    except IndexError:
        raise ValueError(
            f'{where}.in_index={index} found; {type(backbone).__name__} returns '
            f'{len(channels)} maps'
        ) from None
    if found is None:
        return {**config, 'in_channels': fitting}
    _check(found, fitting, where, backbone, 'set those, or leave in_channels out')
    return dict(config)


def check_neck(neck: nn.Module | None, backbone: nn.Module, where: str) -> None:
    """Refuse a neck for the maps of another backbone.

    Args:
        neck: A built neck; one without a list ``in_channels`` is not known.
        backbone: The backbone; one without ``feature_channels`` is not known.
        where: The neck's place in the config, for the message.

    Raises:
        ValueError: ``in_channels`` are not those of the backbone.
    """
    channels = getattr(backbone, 'feature_channels', None)
    found = getattr(neck, 'in_channels', None)
    if channels is not None and isinstance(found, Sequence):
        _check(found, channels, where, backbone, 'set those')


def _check(
    found: int | Sequence[int],
    fitting: int | Sequence[int],
    where: str,
    backbone: nn.Module,
    advice: str,
) -> None:
    """Refuse channels that are not those of a backbone."""
    listed = [
        list(value) if isinstance(value, Sequence) else value
        for value in (found, fitting)
    ]
    if listed[0] != listed[1]:
        raise ValueError(
            f'{where}.in_channels={listed[0]} found; the maps of the '
            f'{type(backbone).__name__} have {listed[1]} channels: {advice}'
        )
