"""Which samples of a batch belong to which data set."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from mmengine.model import ModuleDict
from mmengine.structures import BaseDataElement


class DatasetSlice(NamedTuple):
    """A contiguous part of a batch whose samples share a data set.

    Attributes:
        name: Name of the data set.
        start: First sample.
        stop: Sample after the last one.
    """

    name: str
    start: int
    stop: int


class RoutingError(ValueError):
    """Samples cannot be led to the parts of a model that are theirs."""


def contiguous_slices(names: Sequence[str]) -> tuple[DatasetSlice, ...]:
    """Find the slices of a batch whose samples lie contiguous by data set.

    Args:
        names: Data set of each sample.

    Returns:
        The slices in their order, each data set once; empty for an empty batch.

    Raises:
        RoutingError: A data set comes back after another one.
    """
    slices: list[DatasetSlice] = []
    for index, name in enumerate(names):
        if slices and slices[-1].name == name:
            slices[-1] = slices[-1]._replace(stop=index + 1)
        else:
            slices.append(DatasetSlice(name, index, index + 1))
    found = [part.name for part in slices]
    if len(set(found)) != len(found):
        raise RoutingError(
            f'the samples of the batch are not contiguous by data set: {found}; sort '
            'them first'
        )
    return tuple(slices)


def order_by_dataset(names: Sequence[str]) -> list[int]:
    """Order samples so that they lie contiguous by data set.

    Args:
        names: Data set of each sample.

    Returns:
        A permutation of the indices: data sets in the order of their first sample,
        and the samples of each in theirs.
    """
    rank = {name: place for place, name in enumerate(dict.fromkeys(names))}
    return sorted(range(len(names)), key=lambda index: rank[names[index]])


def dataset_names(
    samples: Iterable[BaseDataElement], allowed: Sequence[str]
) -> list[str]:
    """Read where each sample comes from.

    Args:
        samples: Data samples with ``dataset_name`` in their metainfo.
        allowed: Data sets that the model knows.

    Returns:
        The name of each sample's data set.  A model of one data set knows what a
        sample without a name is.

    Raises:
        RoutingError: A sample names no data set, or one that the model does not know.
    """
    names = []
    for sample in samples:
        name = sample.metainfo.get('dataset_name')
        if name is None and len(allowed) == 1:
            name = allowed[0]
        if name not in allowed:
            found = 'no data set' if name is None else f'the data set {name!r}'
            raise RoutingError(
                f'{sample.metainfo.get("img_path", "a sample")} names {found} '
                f'(dataset_name), this model has {list(allowed)}'
            )
        names.append(name)
    return names


def check_dataset_names(names: Sequence[str], owner: str) -> tuple[str, ...]:
    """Check names under which a model keeps a part for each data set.

    Args:
        names: Names of the data sets.
        owner: What the names were given to, for the message.

    Returns:
        The names.

    Raises:
        ValueError: There is no name, one occurs twice, or one cannot be part of a
            parameter's or a logged figure's name.
    """
    names = tuple(names)
    if not names:
        raise ValueError(f'{owner} got no data sets, expected at least one name')
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(
            f'{owner}: data set(s) {twice} occur more than once in {list(names)}; '
            'every data set has one expert and one decode head'
        )
    # mmengine's has all that torch's has; some are attributes of instances alone.
    occupied = ModuleDict()
    for name in names:
        # Names become parts of parameters' names, and attributes of a ModuleDict.
        if not isinstance(name, str) or not re.fullmatch(r'[\w-]+', name):
            raise ValueError(
                f'{owner}: {name!r} cannot name a data set; allowed are letters, '
                'digits, _ and -'
            )
        if 'loss' in name:
            raise ValueError(
                f'{owner}: {name!r} cannot name a data set: mmengine adds up every '
                "logged figure with 'loss' in its name"
            )
        if hasattr(occupied, name):
            raise ValueError(
                f'{owner}: {name!r} cannot name a data set: a ModuleDict has an '
                'attribute of that name'
            )
    return names
