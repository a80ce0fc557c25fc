"""What the preprocessors of collated uint8 batches share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmseg.models import SegDataPreProcessor
from mmseg.structures import SegDataSample
from torch import Tensor


class DevicePreprocessor(SegDataPreProcessor):
    """Prepares batches of :func:`s5_mm.datasets.branch_collate` on the device.

    Such a batch (a dict of sources) goes to :meth:`prepare`; lists of images, as in
    validation and test, go to :meth:`prepare_list`.  Images arrive as uint8 RGB.

    Args:
        **kwargs: Arguments of mmseg's ``SegDataPreProcessor``.  ``mean`` and ``std``
            are of RGB in [0, 255].

    Raises:
        ValueError: If ``mean`` and ``std`` are not given.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not self._enable_normalize:
            raise ValueError(f'{type(self).__name__} needs `mean` and `std`')

    def forward(self, data: dict, training: bool = False) -> dict[str, Any]:
        """Prepare a batch.

        Args:
            data: ``inputs`` and ``data_samples``; either dicts of sources (training:
                uint8 (N, 3, H, W) and lists of N ``SegDataSample``) or lists.
            training: Passed on to mmseg's preprocessor for lists.

        Returns:
            What :meth:`prepare` or :meth:`prepare_list` returns.
        """
        if not isinstance(data['inputs'], dict):
            return self.prepare_list(data, training)
        data = self.cast_data(data)
        # The train step calls this under autocast; colours need fp32.
        with torch.no_grad(), torch.autocast(self.mean.device.type, enabled=False):
            return self.prepare(data['inputs'], data['data_samples'])

    def prepare(
        self, sources: dict[str, Tensor], samples: dict[str, Sequence[SegDataSample]]
    ) -> dict[str, Any]:
        """Make the model's input of a training batch.

        Args:
            sources: uint8 (N, 3, H, W) by source.
            samples: The N samples by source.

        Returns:
            Arguments of the model's ``forward``.
        """
        raise NotImplementedError

    def prepare_list(self, data: dict, training: bool) -> dict[str, Any]:
        """Make the model's input of a list of images; mmseg's way here."""
        return super().forward(data, training)

    def _normalize(self, images: Tensor) -> Tensor:
        """Standardise images in [0, 1] with a mean and std given for [0, 255]."""
        return (images - self.mean / 255) / (self.std / 255)


def to_unit(images: Tensor) -> Tensor:
    """Map uint8 in [0, 255] to float in [0, 1]."""
    return images.float() / 255
