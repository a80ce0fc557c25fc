"""One model for several data sets of oriented boxes (MDF, MoE-MDF)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from mmdet.models.detectors.base import BaseDetector
from mmdet.structures import DetDataSample
from mmengine.model import ModuleDict
from torch import Tensor

from s5_mm.registry import MODELS
from s5_mm.utils.routing import (
    DatasetSlice,
    contiguous_slices,
    dataset_names,
    order_by_dataset,
)

from ..feature_channels import check_neck
from ..hand_over import hand_over
from ..logged_losses import LoggedLosses
from ..multi_dataset import MultiDatasetModel
from .detection_settings import DetectionSettings

#: Where a detector of one data set keeps what each data set gets a copy of.
_PARTS = ('neck.', 'rpn_head.', 'roi_head.', 'bbox_head.')


@MODELS.register_module()
class MultiDatasetDetector(
    MultiDatasetModel[DetectionSettings], LoggedLosses, BaseDetector
):
    """Shared backbone, and a detector of mmdet or mmrotate for each data set.

    With :class:`s5_mm.ViT` it is MDF, with :class:`s5_mm.ViTMoE` MoE-MDF; Oriented
    R-CNN gives each data set its FPN, oriented RPN and RoI head.  A batch mixes data
    sets, contiguous by data set: ONE call of the backbone, then each detector on its
    slice.  See :class:`MultiDatasetModel` for batches that lack a data set and for DDP.

    Each part is a whole detector of the host with
    :class:`s5_mm.models.detectors.SharedFeatures` in the place of its backbone, and is
    initialised like one (the release leaves its necks and heads to torch's defaults).

    Args:
        backbone: Config of the backbone.  A ``s5_mm.ViTMoE`` without ``datasets`` gets
            those of this model.
        detector: Config, without backbone, that all detectors share, e.g. a
            ``mmdet.FasterRCNN`` with ``neck``, ``rpn_head``, ``roi_head``,
            ``train_cfg``, ``test_cfg``.
        datasets: By name, or a list with ``name``, for each data set:

            * ``num_classes``: K of its box head.
            * ``detector``: what its detector has of its own.
            * ``loss_weight`` (1.0): factor of its losses in the sum.
            * ``start_iter`` (0): first iteration it takes part in; its samples are left
              out before.
        data_preprocessor: Config of the preprocessor.
        init_cfg: Not allowed: initialise the backbone, or use ``load_from``.

    Raises:
        ValueError: A setting is unknown or out of its range; the message names it.
    """

    part_prefix = 'detectors'

    def __init__(
        self,
        backbone: dict,
        detector: dict,
        datasets: Mapping[str, dict] | Sequence[dict],
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor=data_preprocessor)
        self.build_backbone(backbone, datasets, DetectionSettings, init_cfg)
        # mmengine's ModuleDict: torch's would keep init_weights from the heads.
        self.detectors = ModuleDict()
        for name, own in self.settings.items():
            config = own.detector_config(detector)
            config.backbone = dict(type='s5_mm.SharedFeatures')
            self.detectors[name] = part = MODELS.build(config)
            where = f'datasets.{name}.detector.neck'
            check_neck(getattr(part, 'neck', None), self.backbone, where)

    @property
    def num_classes(self) -> dict[str, int]:
        """Number of classes of each data set's box head."""
        return {name: own.num_classes for name, own in self.settings.items()}

    def loss(
        self, inputs: Tensor, data_samples: Sequence[DetDataSample]
    ) -> dict[str, Tensor]:
        """Losses of all data sets, each times its ``loss_weight``.

        Args:
            inputs: Normalised images, contiguous by data set, (N, 3, H, W).
            data_samples: N samples with ``gt_instances`` and ``dataset_name``.

        Returns:
            Scalars by ``<data set>.<figure>``: what the host's detector logs; those
            with 'loss' in the name are to be summed.

        Raises:
            RoutingError: A sample's data set is unknown, or they are not contiguous.
        """
        inputs, data_samples, slices = self.started(inputs, data_samples)
        features = self.extract_feat(inputs, slices)
        losses: dict[str, Tensor] = {}
        for part in slices:
            found = self.detectors[part.name].loss(
                _of(part, features), list(data_samples[part.start : part.stop])
            )
            weight = self.settings[part.name].loss_weight
            for key, value in found.items():
                # As mmengine's parse_losses: a list holds the levels of the pyramid.
                levels = value if isinstance(value, (list, tuple)) else [value]
                total = sum(level.mean() for level in levels)
                name = f'{part.name}.{key}'
                losses[name] = weight * total if 'loss' in key else total
        self.connect_absent(losses, {part.name for part in slices})
        return losses

    def predict(
        self,
        inputs: Tensor,
        data_samples: Sequence[DetDataSample],
        rescale: bool = True,
    ) -> list[DetDataSample]:
        """Detect in images of any data sets, in any order.

        Args:
            inputs: Normalised images, padded to one size, (N, 3, H, W).
            data_samples: N samples with ``dataset_name`` and the host's metainfo.
            rescale: Give boxes in pixels of the original image, not of the input.

        Returns:
            The samples in their order with ``pred_instances``: ``bboxes`` (n, 5) of
            x, y, w, h in pixels and angle in radians, ``scores``, ``labels`` (n,).

        Raises:
            RoutingError: A sample's data set is unknown.
        """
        names = dataset_names(data_samples, self.datasets)
        order = order_by_dataset(names)
        if order != list(range(len(names))):
            inputs = inputs[torch.tensor(order, device=inputs.device)]
        ordered = [data_samples[index] for index in order]
        slices = contiguous_slices([names[index] for index in order])
        features = self.extract_feat(inputs, slices)
        for part in slices:
            self.detectors[part.name].predict(
                _of(part, features), ordered[part.start : part.stop], rescale=rescale
            )
        return list(data_samples)

    def _forward(
        self, inputs: Tensor, data_samples: Sequence[DetDataSample] | None = None
    ) -> dict[str, tuple]:
        """Raw outputs of the detectors of the data sets in the batch, by name."""
        samples = data_samples or [DetDataSample() for _ in inputs]
        slices = contiguous_slices(dataset_names(samples, self.datasets))
        features = self.extract_feat(inputs, slices)
        return {
            part.name: self.detectors[part.name](
                _of(part, features), samples[part.start : part.stop], mode='tensor'
            )
            for part in slices
        }

    def translate_checkpoint(
        self,
        state: dict[str, Tensor],
        prefix: str = '',
        mismatch: Literal['raise', 'skip'] = 'raise',
    ) -> list[str]:
        """Hand the neck and heads of a single detector to every data set's.

        Args:
            state: Tensors by the model's names; changed in place.
            prefix: What precedes the model's own names.
            mismatch: See :func:`s5_mm.models.hand_over.hand_over`.

        Returns:
            What was done, for the log.
        """
        return hand_over(
            state,
            prefix,
            self.datasets,
            mismatch,
            parts={part: part for part in _PARTS},
            several=f'{self.part_prefix}.',
            classifiers=('fc_cls.', 'retina_cls.', 'rtm_cls.', 'conv_cls.'),
        )


def _of(part: DatasetSlice, features: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Cut the slice of one data set out of the maps."""
    return tuple(feature[part.start : part.stop] for feature in features)
