"""Validation batches whose images differ in size."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mmengine.model import BaseModel


class MixedSizes(BaseModel):
    """Mixin of a segmentor: images of one size at a time go through the network.

    mmseg's preprocessor stops at a batch of several sizes.  Padding them to one would
    let a prediction depend on what else is in its batch.
    """

    def val_step(self, data: Any) -> list:
        """Predict a batch as the data loader gives it, see mmengine's ``BaseModel``."""
        return _by_size(data, super().val_step)

    def test_step(self, data: Any) -> list:
        """Predict a batch as the data loader gives it, see mmengine's ``BaseModel``."""
        return _by_size(data, super().test_step)


def _by_size(data: Any, predict: Callable[[Any], list]) -> list:
    """Predict the images of each size together.

    Args:
        data: Collated; a dict of lists, ``inputs`` (C, H, W) among them, is taken
            apart, everything else goes through as it is.
        predict: Predicts a batch of one size.

    Returns:
        The predictions in the order of the images.
    """
    images = data.get('inputs') if isinstance(data, Mapping) else None
    if not isinstance(images, (list, tuple)):
        return predict(data)
    groups: dict[tuple, list[int]] = {}
    for index, image in enumerate(images):
        groups.setdefault(tuple(getattr(image, 'shape', ())), []).append(index)
    if len(groups) < 2:
        return predict(data)
    predictions: list[Any] = [None] * len(images)
    for indices in groups.values():
        part = {key: [values[i] for i in indices] for key, values in data.items()}
        for index, prediction in zip(indices, predict(part), strict=True):
            predictions[index] = prediction
    return predictions
