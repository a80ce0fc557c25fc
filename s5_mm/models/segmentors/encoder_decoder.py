"""mmseg's segmentor with the test protocols of the remote-sensing papers."""

from __future__ import annotations

from typing import Any

import mmseg.models.segmentors as host
from torch import Tensor

from s5_mm.registry import MODELS
from s5_mm.utils.routing import dataset_names

from .inference import check_test_cfg, infer, slide


@MODELS.register_module()
class EncoderDecoder(host.EncoderDecoder):
    """``mmseg.EncoderDecoder`` with batched windows and protocols by config.

    Parameters and keys are mmseg's.  ``test_cfg`` takes the protocols of
    :func:`s5_mm.models.segmentors.inference.infer`; sliding windows run in batches and
    are stitched in place, in mmseg's order.

    Args:
        dataset_name: Data set whose classes the head predicts, for a model that was
            folded out of one for several; samples of another one are refused.
        **kwargs: Arguments of mmseg's ``EncoderDecoder``.

    Raises:
        ValueError: ``test_cfg`` cannot be run.
    """

    def __init__(self, dataset_name: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dataset_name = dataset_name
        check_test_cfg(self.test_cfg or {}, 'EncoderDecoder')

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
