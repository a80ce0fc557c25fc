"""What the preprocessors of collated uint8 batches share."""

from __future__ import annotations

import inspect
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
            are of RGB in [0, 255].  ``bgr_to_rgb`` is for images of mmcv's loader.

    Raises:
        ValueError: If ``mean`` and ``std`` are not given, or a setting has a value that
            would have no effect.
    """

    #: Settings of mmseg's that have no effect here: what to do instead.
    unused = dict(
        size='crops have one size, that of s5_mm.RandomGeometry.crop_size',
        size_divisor='crops have one size; validation takes test_cfg.size_divisor',
        batch_augments='mmseg has none either',
        rgb_to_bgr='mean, std and colour augmentation are of RGB',
        seg_pad_val='masks are padded with 255 by s5_mm.RandomGeometry',
    )

    def __init__(self, **kwargs: Any) -> None:
        defaults = inspect.signature(SegDataPreProcessor).parameters
        for name, advice in self.unused.items():
            value = kwargs.get(name)
            if value is not None and value != defaults[name].default:
                raise ValueError(
                    f'{type(self).__name__}: {name}={value!r} would have no effect; '
                    f'{advice}'
                )
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
            sources = {name: self._rgb(x) for name, x in data['inputs'].items()}
            return self.prepare(sources, data['data_samples'])

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

    def _rgb(self, images: Tensor) -> Tensor:
        """Swap the channels (..., 3, H, W) of BGR images."""
        return images.flip(-3) if self._channel_conversion else images

    def _normalize(self, images: Tensor) -> Tensor:
        """Standardise images in [0, 1] with a mean and std given for [0, 255]."""
        return (images - self.mean / 255) / (self.std / 255)


def to_unit(images: Tensor) -> Tensor:
    """Map uint8 in [0, 255] to float in [0, 1]."""
    return images.float() / 255
