"""One batch of several data sets, contiguous by data set, on the device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmseg.structures import SegDataSample
from torch import Tensor

from s5_mm.registry import MODELS

from .device_preprocessor import DevicePreprocessor, to_unit
from .strong_augment import StrongAugment


@MODELS.register_module()
class MultiDatasetDataPreprocessor(DevicePreprocessor):
    """Puts the sources of a batch one after the other and augments their colours.

    All draws are functions of the samples' keys, so a batch gets the same colours
    however it is shared out over processes.

    Args:
        augment: Config of the colour augmentation (:class:`StrongAugment`), None for
            none.  The release jitters, greys and blurs its fine-tuning images with the
            probabilities of S4P's strong view.
        **kwargs: See :class:`DevicePreprocessor`.
    """

    unused = dict(
        DevicePreprocessor.unused,
        size_divisor=DevicePreprocessor.unused['size'],
        pad_val='images are predicted one by one, without padding',
        test_cfg='images are predicted one by one, without padding',
    )

    def __init__(self, augment: dict | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.augment: StrongAugment | None = None
        if augment:
            self.augment = MODELS.build(augment)

    def prepare(
        self, sources: dict[str, Tensor], samples: dict[str, Sequence[SegDataSample]]
    ) -> dict[str, Any]:
        """Make one batch of all sources.

        Args:
            sources: uint8 (N_s, 3, H, W) by source.
            samples: The N_s samples by source.

        Returns:
            ``inputs``, normalised, (N, 3, H, W), and ``data_samples``, both contiguous
            by source.

        Raises:
            ValueError: The sources' images differ in size.
        """
        sizes = {name: tuple(images.shape[-2:]) for name, images in sources.items()}
        if len(set(sizes.values())) > 1:
            raise ValueError(
                f'one batch holds images of different sizes: {sizes}; crop all data '
                'sets to the same size, e.g. by s5_mm.RandomGeometry'
            )
        images = to_unit(torch.cat(list(sources.values())))
        listed = [sample for name in sources for sample in samples[name]]
        if self.augment is not None:
            images = self.augment(images, [sample.sample_key for sample in listed])
        return dict(inputs=self._normalize(images), data_samples=listed)

    def prepare_list(self, data: dict, training: bool) -> dict[str, Any]:
        """Normalise images of any sizes one by one.

        Args:
            data: ``inputs``, uint8 (3, H, W) each, and ``data_samples``, lists.
            training: Not used.

        Returns:
            ``inputs``, a list of normalised (3, H, W), and ``data_samples``.
        """
        data = self.cast_data(data)
        images = [
            self._normalize(to_unit(self._rgb(image))) for image in data['inputs']
        ]
        return dict(inputs=images, data_samples=data.get('data_samples'))
