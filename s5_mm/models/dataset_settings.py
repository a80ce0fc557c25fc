"""What a model of several data sets has for each of them, whatever the task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, TypeVar

from mmengine.config import ConfigDict

from s5_mm.utils.argument_checks import check_number
from s5_mm.utils.routing import check_dataset_names

Settings = TypeVar('Settings', bound='DatasetSettings')


@dataclass(frozen=True)
class DatasetSettings:
    """One data set's part of a model; a task adds fields of its own.

    Attributes:
        num_classes: Classes of its head.
        loss_weight: Factor of its losses, at least 0.
        start_iter: First iteration that it takes part in.
    """

    num_classes: int
    loss_weight: float = 1.0
    start_iter: int = 0

    #: Fewest and most classes of a head, and why.
    class_range: ClassVar[tuple[int, int, str]] = (1, 2**31 - 1, '')

    def check(self, where: str) -> None:
        """Check the values.

        Args:
            where: The place in the config, for messages.

        Raises:
            ValueError: A value is out of its range.
        """
        fewest, most, why = self.class_range
        check_number(
            f'{where}.num_classes', self.num_classes, fewest, most, whole=True, why=why
        )
        check_number(f'{where}.loss_weight', self.loss_weight, 0)
        check_number(f'{where}.start_iter', self.start_iter, 0, whole=True)

    def plain_model(self, model: ConfigDict, dataset: str) -> dict:
        """Config of the plain model of this data set alone.

        Args:
            model: Config of the model of several data sets, with a dense backbone.
            dataset: Name of the data set.

        Returns:
            Config of an ordinary model of the task.
        """
        raise NotImplementedError


def read_settings(
    datasets: Mapping[str, Mapping] | Sequence[Mapping],
    kind: type[Settings],
    owner: str,
) -> dict[str, Settings]:
    """Read and check the settings of all data sets.

    Args:
        datasets: Settings by name, or a list of settings with ``name``.
        kind: The task's settings.
        owner: Class of the model, for messages.

    Returns:
        The settings by name.

    Raises:
        ValueError: Names that are unfit or occur twice, an unknown or missing key, or a
            value out of its range.
    """
    names: list[Any]
    if not isinstance(datasets, Mapping):
        names = [own.get('name') for own in datasets]
        listed = [{k: v for k, v in own.items() if k != 'name'} for own in datasets]
    else:
        names, listed = list(datasets), [dict(own) for own in datasets.values()]
    checked = check_dataset_names(names, owner)
    return {
        name: _read(name, own, kind) for name, own in zip(checked, listed, strict=True)
    }


def _read(name: str, own: dict[str, Any], kind: type[Settings]) -> Settings:
    """Read and check the settings of one data set."""
    allowed = [item.name for item in fields(kind)]
    unknown = sorted(set(own) - set(allowed))
    if unknown or 'num_classes' not in own:
        raise ValueError(
            f'datasets.{name} has the keys {sorted(own)}; num_classes is required, '
            f'allowed are {allowed}'
        )
    settings = kind(**own)
    settings.check(f'datasets.{name}')
    return settings
