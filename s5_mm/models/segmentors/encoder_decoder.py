"""mmseg's segmentor with the test protocols of the remote-sensing papers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mmseg.models.segmentors as host
from torch import Tensor

from s5_mm.registry import MODELS
from s5_mm.utils.routing import dataset_names

from ..decode_heads import UPerHead
from ..feature_channels import check_neck, fit_in_channels
from ..layers import evaluated
from ..losses import check_losses
from .checks import refuse
from .inference import check_test_cfg, infer, slide
from .mixed_sizes import MixedSizes
from .step_errors import explain_step_errors


@MODELS.register_module()
class EncoderDecoder(MixedSizes, host.EncoderDecoder):
    """``mmseg.EncoderDecoder`` with batched windows and protocols by config.

    Parameters and keys are mmseg's.  ``test_cfg`` takes the protocols of
    :func:`s5_mm.models.segmentors.inference.infer`; sliding windows run in batches and
    are stitched in place, in mmseg's order.  Images of a validation batch may differ in
    size.

    Heads may leave ``in_channels`` out: behind a backbone of this package, without a
    neck, they are the backbone's.  A neck, and heads other than
    :class:`s5_mm.UPerHead`, get the maps of a ViT with ``deferred_upsampling``
    evaluated.

    Args:
        dataset_name: Data set whose classes the head predicts, for a model that was
            folded out of one for several; samples of another one are refused.
        **kwargs: Arguments of mmseg's ``EncoderDecoder``.

    Raises:
        ValueError: ``test_cfg`` cannot be run, channels or losses do not fit.
    """

    def __init__(self, dataset_name: str | None = None, **kwargs: Any) -> None:
        backbone, pretrained = kwargs.get('backbone') or {}, kwargs.get('pretrained')
        if str(backbone.get('type')).startswith('s5_mm.'):
            advice = "use backbone.init_cfg=dict(type='Pretrained', checkpoint=...)"
            refuse('EncoderDecoder', advice, pretrained=pretrained)
        super().__init__(**kwargs)
        self.dataset_name = dataset_name
        check_test_cfg(self.test_cfg or {}, 'EncoderDecoder')

    def _init_decode_head(self, decode_head: dict) -> None:
        """Build the decode head for the backbone's channels."""
        if self.with_neck:
            check_neck(self.neck, self.backbone, 'neck')
        super()._init_decode_head(self._fitted(decode_head, 'decode_head'))
        check_losses(self.decode_head, 'decode_head')

    def _init_auxiliary_head(self, auxiliary_head: dict | list[dict] | None) -> None:
        """Build the auxiliary heads for the backbone's channels."""
        if isinstance(auxiliary_head, list):
            auxiliary_head = [
                self._fitted(own, f'auxiliary_head[{i}]')
                for i, own in enumerate(auxiliary_head)
            ]
        elif auxiliary_head is not None:
            auxiliary_head = self._fitted(auxiliary_head, 'auxiliary_head')
        super()._init_auxiliary_head(auxiliary_head)

    def _fitted(self, head: dict, where: str) -> dict:
        """Config of a head with the channels of what is before it."""
        return head if self.with_neck else fit_in_channels(head, self.backbone, where)

    def extract_feat(self, inputs: Tensor) -> Sequence[Tensor]:
        """Extract features of images (N, 3, H, W), in the form that the head takes."""
        features = self.backbone(inputs)
        if self.with_neck:
            return self.neck(evaluated(features))
        known = isinstance(self.decode_head, UPerHead)
        return features if known else evaluated(features)

    def _auxiliary_head_forward_train(
        self, inputs: Sequence[Tensor], data_samples: Sequence[Any]
    ) -> dict[str, Tensor]:
        """Losses of the auxiliary heads, which take maps."""
        return super()._auxiliary_head_forward_train(evaluated(inputs), data_samples)

    def loss(self, inputs: Tensor, data_samples: Sequence[Any]) -> dict[str, Tensor]:
        """Losses of the heads as in mmseg.

        Args:
            inputs: Normalised images, (N, 3, H, W).
            data_samples: N samples with ``gt_sem_seg``.

        Returns:
            ``decode.*`` and ``aux.*``.

        Raises:
            ValueError: Batch normalisation got a single value, or a label is beyond the
                classes of the head.
        """
        with explain_step_errors('EncoderDecoder', inputs.shape, self.num_classes):
            return super().loss(inputs, data_samples)

    def predict(self, inputs: Tensor, data_samples: Any = None) -> Any:
        """Predict images (N, 3, H, W).

        Raises:
            RoutingError: A sample belongs to another data set than the model.
        """
        if self.dataset_name is not None and data_samples is not None:
            dataset_names(data_samples, (self.dataset_name,))
        return super().predict(inputs, data_samples)

    def slide_inference(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """Predict images (N, 3, H, W) window by window, logits (N, K, H, W)."""
        return slide(self.encode_decode, inputs, batch_img_metas, self.test_cfg)

    def inference(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """Predict images by the protocol of ``test_cfg``.

        Args:
            inputs: Images, (N, 3, H, W).
            batch_img_metas: Metainfo of the N images.

        Returns:
            Logits or probabilities, (N, K, H, W).
        """
        return infer(
            self.encode_decode,
            inputs,
            batch_img_metas,
            self.test_cfg or {},
            self.align_corners,
        )
