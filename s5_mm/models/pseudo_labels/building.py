"""Build the parts that keys of ``semi_train_cfg`` name."""

from __future__ import annotations

from typing import Any, TypeVar

from torch import nn

from s5_mm.registry import MODELS

Part = TypeVar('Part', bound=nn.Module)


def build_part(
    key: str, config: Any, num_classes: int, kind: type[Part], allowed: str
) -> Part:
    """Build the part of a method that a key names.

    Args:
        key: Key of ``semi_train_cfg``, for the message.
        config: Its value.
        num_classes: K, which the part gets.
        kind: Class of the part.
        allowed: Types that are such parts, for the message.

    Returns:
        The part.

    Raises:
        ValueError: If it is no config, or that of something else.
    """
    if not isinstance(config, dict) or 'type' not in config:
        raise ValueError(
            f'semi_train_cfg.{key} must be a config, dict(type=...) with {allowed}, '
            f'got {config!r}'
        )
    part = MODELS.build(dict(config, num_classes=num_classes))
    if not isinstance(part, kind):
        raise ValueError(
            f'semi_train_cfg.{key} is a {type(part).__name__}, expected {allowed}'
        )
    return part
