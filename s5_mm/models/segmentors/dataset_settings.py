"""What a model of several data sets has for each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from s5_mm.utils.routing import check_dataset_names

from .inference import check_test_cfg


@dataclass(frozen=True)
class DatasetSettings:
    """One data set's part of a :class:`s5_mm.MultiDatasetSegmentor`.

    Attributes:
        num_classes: Classes of its head.
        decode_head: What its head has of its own.
        loss_weight: Factor of its losses, at least 0.
        start_iter: First iteration that it takes part in.
        test_cfg: Its test protocol.
    """

    num_classes: int
    decode_head: Mapping[str, Any] = field(default_factory=dict)
    loss_weight: float = 1.0
    start_iter: int = 0
    test_cfg: Mapping[str, Any] = field(default_factory=dict)

    def head_overrides(self) -> dict[str, Any]:
        """Arguments of the head that are not shared."""
        return {**self.decode_head, 'num_classes': self.num_classes}


def read_settings(
    datasets: Mapping[str, Mapping] | Sequence[Mapping],
) -> dict[str, DatasetSettings]:
    """Read and check the settings of all data sets.

    Args:
        datasets: Settings by name, or a list of settings with ``name``.

    Returns:
        The settings by name.

    Raises:
        ValueError: Names that are unfit or occur twice, an unknown or missing key, or a
            value out of its range.
    """
    if not isinstance(datasets, Mapping):
        names = [own.get('name') for own in datasets]
        listed = [{k: v for k, v in own.items() if k != 'name'} for own in datasets]
    else:
        names, listed = list(datasets), [dict(own) for own in datasets.values()]
    names = check_dataset_names(names, 'MultiDatasetSegmentor')
    return {name: _read(name, own) for name, own in zip(names, listed, strict=True)}


def _read(name: str, own: dict[str, Any]) -> DatasetSettings:
    """Read and check the settings of one data set."""
    allowed = [item.name for item in fields(DatasetSettings)]
    unknown = sorted(set(own) - set(allowed))
    if unknown or 'num_classes' not in own:
        raise ValueError(
            f'datasets.{name} has the keys {sorted(own)}; num_classes is required, '
            f'allowed are {allowed}'
        )
    settings = DatasetSettings(**own)
    count = settings.num_classes
    if not isinstance(count, int) or not 2 <= count <= 254:
        raise ValueError(
            f'datasets.{name}.num_classes must be in 2..254 (one thing against the '
            f'rest is two classes), got {count}'
        )
    if not settings.loss_weight >= 0:
        raise ValueError(
            f'datasets.{name}.loss_weight must be >= 0, got {settings.loss_weight}'
        )
    start = settings.start_iter
    if not isinstance(start, int) or start < 0:
        raise ValueError(
            f'datasets.{name}.start_iter must be a number of iterations >= 0, got '
            f'{start!r}'
        )
    check_test_cfg(settings.test_cfg, f'datasets.{name}')
    return settings
