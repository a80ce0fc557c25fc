"""From uint8 crops to the branches of semi-supervised training, on the device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmseg.structures import SegDataSample
from torch import Tensor

from s5_mm.registry import MODELS

from .cutmix import CutMix, MixPlan, rectangles_to_mask
from .device_preprocessor import DevicePreprocessor, to_unit
from .strong_augment import StrongAugment


@MODELS.register_module()
class MultiBranchDataPreprocessor(DevicePreprocessor):
    """Makes ``sup``, ``unsup_weak`` and ``unsup_strong`` out of collated crops.

    Batches of :func:`s5_mm.datasets.branch_collate` (a dict of sources) take this
    path; lists of images, as in validation and test, take mmseg's.  Images arrive as
    uint8 RGB; colour, blur, CutMix and normalisation run here, batched.  All draws
    are functions of the samples' keys, so calling this twice gives the same views.

    Args:
        strong: Config of the strong augmentation A_s without CutMix
            (:class:`StrongAugment`).
        cutmix: Config of :class:`CutMix`, None for no CutMix.
        mix_source: Source that delivers one CutMix partner for each image of
            ``unsup``, in the same order; None takes partners from the batch.
        **kwargs: See :class:`DevicePreprocessor`.
    """

    def __init__(
        self,
        strong: dict | None = None,
        cutmix: dict | None = None,
        mix_source: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.strong: StrongAugment | None = MODELS.build(strong) if strong else None
        self.cutmix: CutMix | None = MODELS.build(cutmix) if cutmix else None
        self.mix_source = mix_source

    def prepare(
        self, sources: dict[str, Tensor], samples: dict[str, Sequence[SegDataSample]]
    ) -> dict[str, Any]:
        """Make the branches.

        Args:
            sources: uint8 (N, 3, H, W) by source.
            samples: The N samples by source.

        Returns:
            ``inputs`` with float branches ``sup`` (N_l, 3, H, W) and, if there is a
            source ``unsup``, ``unsup_weak`` (M, 3, H, W) and ``unsup_strong``
            (N, 3, H, W); ``data_samples`` as they came; ``mix``, a :class:`MixPlan`.

        Raises:
            KeyError: If the source named by ``mix_source`` is not in the batch.
        """
        branches: dict[str, Tensor] = {}
        prepared = dict(inputs=branches, data_samples=samples)
        if 'sup' in sources:
            branches['sup'] = self._normalize(to_unit(sources['sup']))
        if 'unsup' in sources:
            weak, keys, rectangles = self._weak_views(sources, samples)
            count = len(sources['unsup'])
            strong = weak if self.strong is None else self.strong(weak, keys)
            plan = self._plan(keys[:count], rectangles, weak)
            branches['unsup_weak'] = self._normalize(weak)
            branches['unsup_strong'] = self._normalize(plan.mix(strong[:count], strong))
            prepared['mix'] = plan
        return prepared

    def _weak_views(
        self, sources: dict[str, Tensor], samples: dict[str, Sequence[SegDataSample]]
    ) -> tuple[Tensor, list, np.ndarray]:
        """Weak views in [0, 1] with their keys and their non-padded rectangles."""
        names = ['unsup']
        if self.mix_source is not None:
            if self.mix_source not in sources:
                raise KeyError(
                    f'mix_source {self.mix_source!r} is not in the batch, which has '
                    f'{sorted(sources)}; name a source of the multi-source data set'
                )
            names.append(self.mix_source)
        weak = to_unit(torch.cat([sources[name] for name in names]))
        listed = [sample for name in names for sample in samples[name]]
        keys = [sample.sample_key for sample in listed]
        height, width = weak.shape[-2:]
        whole = (0, 0, width, height)
        rectangles = [sample.get('valid_rect', whole) for sample in listed]
        return weak, keys, np.array(rectangles, dtype=np.int64)

    def _plan(self, keys: list, rectangles: np.ndarray, weak: Tensor) -> MixPlan:
        """Draw the mixture of the N = len(keys) unlabelled images."""
        count, (height, width) = len(keys), weak.shape[-2:]
        boxes = np.zeros((count, 4), dtype=np.int64)
        if self.cutmix is not None:
            boxes = self.cutmix.draw(keys, height, width)
        partner = (
            CutMix.partners(count)
            if self.mix_source is None
            else np.arange(count) + count
        )
        # One transfer for all the integers of the plan.
        packed = torch.from_numpy(np.concatenate([boxes, rectangles]))
        packed = packed.to(weak.device, non_blocking=True)
        masks = rectangles_to_mask(packed, height, width)
        return MixPlan(
            region=masks[:count],
            partner=torch.from_numpy(partner).to(weak.device, non_blocking=True),
            valid=masks[count:],
        )
