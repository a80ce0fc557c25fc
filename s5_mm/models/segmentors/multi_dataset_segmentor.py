"""One model for several segmentation data sets (MDF, MoE-MDF)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from mmengine.model import ModuleDict
from mmseg.models import BaseSegmentor
from mmseg.structures import SegDataSample
from torch import Tensor

from s5_mm.registry import MODELS
from s5_mm.utils.routing import DatasetSlice, contiguous_slices, dataset_names

from ..compiled_steps import CompiledSteps
from ..decode_heads import UPerHead
from ..feature_channels import fit_in_channels
from ..hand_over import hand_over
from ..layers import evaluated
from ..logged_losses import LoggedLosses
from ..losses import decode_losses, upsample
from ..multi_dataset import MultiDatasetModel
from .checks import check_head, refuse
from .inference import infer
from .segmentation_settings import SegmentationSettings
from .step_errors import explain_step_errors


@MODELS.register_module()
class MultiDatasetSegmentor(
    CompiledSteps,
    MultiDatasetModel[SegmentationSettings],
    LoggedLosses,
    BaseSegmentor,
):
    """Shared backbone, one decode head for each data set (the paper's Figure 3).

    With :class:`s5_mm.ViT` it is MDF, with :class:`s5_mm.ViTMoE` MoE-MDF, with a single
    data set SDF.  A batch mixes data sets, contiguous by data set: ONE call of the
    backbone, then each head on its slice.  What a sample's ``dataset_name`` says picks
    expert, head and test protocol.  See :class:`MultiDatasetModel` for batches that
    lack a data set and for DDP.

    Args:
        backbone: Config of the backbone.  A ``s5_mm.ViTMoE`` without ``datasets`` gets
            those of this model.
        decode_head: Config that all heads share; ``num_classes`` comes from the data
            sets, ``in_channels`` from a backbone of this package if they are left out.
        datasets: By name, or a list with ``name``, for each data set:

            * ``num_classes``: K of its head.
            * ``decode_head``: what its head has of its own, e.g. ``loss_decode``.
            * ``loss_weight`` (1.0): factor of its losses in the sum.
            * ``start_iter`` (0): first iteration it takes part in; its samples are left
              out before.
            * ``test_cfg``: its protocol, see
              :func:`s5_mm.models.segmentors.inference.infer`.
        data_preprocessor: Config of the preprocessor.
        init_cfg: Not allowed: initialise the backbone, or use ``load_from``.
        pretrained: Only None, which ``mmseg.apis.init_model`` sets.
        train_cfg: Only None, which ``mmseg.apis.init_model`` sets.

    Raises:
        ValueError: A setting is unknown or out of its range; the message names it.
    """

    part_prefix, plain_prefix = 'decode_heads', 'decode_head.'
    compiled_steps = ('losses_by_slice',)

    def __init__(
        self,
        backbone: dict,
        decode_head: dict,
        datasets: Mapping[str, dict] | Sequence[dict],
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
        pretrained: None = None,
        train_cfg: None = None,
    ) -> None:
        owner = type(self).__name__
        advice = "use backbone.init_cfg=dict(type='Pretrained', ...)"
        refuse(owner, advice, pretrained=pretrained)
        refuse(owner, 'it has no training settings', train_cfg=train_cfg)
        super().__init__(data_preprocessor=data_preprocessor)
        self.build_backbone(backbone, datasets, SegmentationSettings, init_cfg)
        # mmengine's ModuleDict: torch's would keep init_weights from the heads.
        self.decode_heads = ModuleDict()
        for name, own in self.settings.items():
            where = f'datasets.{name}.decode_head'
            config = {**decode_head, **own.decode_head}
            advice = f'set datasets.{name}.num_classes'
            refuse(owner, advice, **{f'{where}.num_classes': config.get('num_classes')})
            config.update(own.head_overrides())
            config = fit_in_channels(config, self.backbone, where)
            self.decode_heads[name] = head = MODELS.build(config)
            check_head(head, where, owner)
            if head.out_channels == 1:
                raise ValueError(
                    f'{where}.out_channels=1 found; {owner} takes num_classes=2 with a '
                    'softmax loss: leave out_channels and use_sigmoid out'
                )
        corners = {name: head.align_corners for name, head in self.decode_heads.items()}
        if len(set(corners.values())) > 1:
            raise ValueError(
                f'decode heads differ in align_corners: {corners}; it must be the same'
            )
        self.align_corners = next(iter(corners.values()))

    @property
    def num_classes(self) -> dict[str, int]:
        """Number of classes of each data set's head."""
        return {name: head.num_classes for name, head in self.decode_heads.items()}

    @property
    def out_channels(self) -> int:
        """Channels of the widest head (mmseg's TTA model takes a sigmoid of one)."""
        return max(head.out_channels for head in self.decode_heads.values())

    # -- training ---------------------------------------------------------------
    def loss(self, inputs: Tensor, data_samples: Sequence[SegDataSample]) -> dict:
        """Sum over the data sets of ``loss_weight`` times the head's losses.

        Args:
            inputs: Normalised images, contiguous by data set, (N, 3, H, W).
            data_samples: N samples with ``gt_sem_seg`` (1, H, W) and ``dataset_name``.

        Returns:
            Losses by ``<data set>.<loss>``, one group for each data set in the batch.

        Raises:
            RoutingError: A sample's data set is unknown, or they are not contiguous.
            ValueError: Batch normalisation got a single value, or a label is beyond the
                classes of its head.
        """
        inputs, data_samples, slices = self.started(inputs, data_samples)
        labels = [
            torch.cat([sample.gt_sem_seg.data for sample in part_samples]).long()
            for part_samples in (data_samples[p.start : p.stop] for p in slices)
        ]
        losses = self.losses_by_slice(inputs, labels, slices)
        self.connect_absent(losses, {part.name for part in slices})
        return losses

    def losses_by_slice(
        self, inputs: Tensor, labels: Sequence[Tensor], slices: Sequence[DatasetSlice]
    ) -> dict[str, Tensor]:
        """One call of the backbone, then each head and its losses on its slice.

        Args:
            inputs: Normalised images, contiguous by data set, (N, 3, H, W).
            labels: Of each slice, class ids, long, (N_t, H, W).
            slices: Which samples are whose.

        Returns:
            Weighted losses by ``<data set>.<loss>``.
        """
        features = self.extract_feat(inputs, slices)
        losses: dict[str, Tensor] = {}
        for part, truth in zip(slices, labels, strict=True):
            own = [feature[part.start : part.stop] for feature in features]
            shape = (len(truth), *inputs.shape[1:])
            classes = self.settings[part.name].num_classes
            with explain_step_errors(f'data set {part.name}', shape, classes):
                losses.update(self.loss_by_dataset(part.name, own, truth))
        return losses

    def loss_by_dataset(
        self, name: str, features: Sequence[Tensor], labels: Tensor
    ) -> dict[str, Tensor]:
        """Weighted losses of one data set.

        Args:
            name: Name of the data set.
            features: Of its samples, (N_t, C, h, w) each.
            labels: Class ids, long, (N_t, H, W).

        Returns:
            Scalars by ``<name>.<loss_name>``.
        """
        head, weight = self.decode_heads[name], self.settings[name].loss_weight
        logits = self.decode(name, features)
        logits = upsample(logits, labels.shape[-2:], self.align_corners)
        losses = decode_losses(head, logits, labels)
        return {f'{name}.{key}': weight * value for key, value in losses.items()}

    def decode(self, name: str, features: Sequence[Tensor]) -> Tensor:
        """Run the head of one data set.

        Args:
            name: Name of the data set.
            features: Of its samples, (N_t, C, h, w) each.

        Returns:
            Logits, (N_t, K, h, w).
        """
        head = self.decode_heads[name]
        known = isinstance(head, UPerHead)
        return head(features if known else evaluated(features))

    # -- prediction ---------------------------------------------------------------
    def encode_decode(self, inputs: Tensor, name: str) -> Tensor:
        """Logits of images of one data set at their size, (N, K, H, W)."""
        features = self.extract_feat(inputs, [DatasetSlice(name, 0, len(inputs))])
        logits = self.decode(name, features)
        return upsample(logits, inputs.shape[-2:], self.align_corners)

    def predict(
        self,
        inputs: Tensor | Sequence[Tensor],
        data_samples: Sequence[SegDataSample] | None = None,
    ) -> Sequence[SegDataSample]:
        """Predict each image by the protocol of its data set.

        Args:
            inputs: N normalised images (3, H, W) of any sizes and data sets; those of
                equal size and data set go through the network together.
            data_samples: N samples with ``dataset_name``.  A model of one data set
                takes None.

        Returns:
            The samples with ``seg_logits`` (K, H, W) and ``pred_sem_seg`` (1, H, W).

        Raises:
            RoutingError: A sample's data set is unknown.
        """
        if data_samples is None:
            data_samples = [
                SegDataSample(metainfo=dict(ori_shape=tuple(image.shape[-2:])))
                for image in inputs
            ]
        names = dataset_names(data_samples, self.datasets)
        groups: dict[tuple, list[int]] = {}
        for index, (name, image) in enumerate(zip(names, inputs, strict=True)):
            groups.setdefault((name, tuple(image.shape)), []).append(index)
        for (name, _), indices in groups.items():
            images = torch.stack([inputs[index] for index in indices])
            samples = [data_samples[index] for index in indices]

            def predict(x: Tensor, metas: list[dict], name: str = name) -> Tensor:
                return self.encode_decode(x, name)

            logits = infer(
                predict,
                images,
                [sample.metainfo for sample in samples],
                self.settings[name].test_cfg,
                self.align_corners,
            )
            self.postprocess_result(logits, samples)
        return data_samples

    def _forward(
        self, inputs: Tensor, data_samples: Sequence[SegDataSample] | None = None
    ) -> dict[str, Tensor]:
        """Raw logits (N_t, K, h, w) of the data sets in the batch, by name."""
        samples = data_samples or [SegDataSample() for _ in inputs]
        slices = contiguous_slices(dataset_names(samples, self.datasets))
        features = self.extract_feat(inputs, slices)
        return {
            part.name: self.decode(
                part.name, [feature[part.start : part.stop] for feature in features]
            )
            for part in slices
        }

    # -- checkpoints --------------------------------------------------------------
    def translate_checkpoint(
        self,
        state: dict[str, Tensor],
        prefix: str = '',
        mismatch: Literal['raise', 'skip'] = 'raise',
    ) -> list[str]:
        """Hand a single decoder to every head.

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
            parts={'decode_head.': ''},
            several=f'{self.part_prefix}.',
            classifiers=('conv_seg.',),
        )
