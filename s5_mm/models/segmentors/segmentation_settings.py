"""What a segmentor of several data sets has for each of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from mmengine.config import ConfigDict

from s5_mm.models.dataset_settings import DatasetSettings

from .inference import check_test_cfg


@dataclass(frozen=True)
class SegmentationSettings(DatasetSettings):
    """One data set's part of a :class:`s5_mm.MultiDatasetSegmentor`.

    Attributes:
        decode_head: What its head has of its own.
        test_cfg: Its test protocol.
    """

    decode_head: Mapping[str, Any] = field(default_factory=dict)
    test_cfg: Mapping[str, Any] = field(default_factory=dict)

    class_range: ClassVar[tuple[int, int, str]] = (
        2,
        254,
        ' (one thing against the rest is two classes)',
    )

    def head_overrides(self) -> dict[str, Any]:
        """Arguments of the head that are not shared."""
        return {**self.decode_head, 'num_classes': self.num_classes}

    def check(self, where: str) -> None:
        """Check the values.

        Args:
            where: The place in the config, for messages.

        Raises:
            ValueError: A value is out of its range.
        """
        super().check(where)
        check_test_cfg(self.test_cfg, where)

    def plain_model(self, model: ConfigDict, dataset: str) -> dict:
        """Config of an ordinary segmentor, see :meth:`DatasetSettings.plain_model`."""
        preprocessor = model.data_preprocessor
        return dict(
            type='s5_mm.EncoderDecoder',
            dataset_name=dataset,
            data_preprocessor=dict(
                type='SegDataPreProcessor',
                mean=preprocessor.mean,
                std=preprocessor.std,
                # s5_mm.LoadImage gives RGB.
                bgr_to_rgb=preprocessor.get('bgr_to_rgb', False),
            ),
            backbone=model.backbone,
            decode_head=ConfigDict({**model.decode_head, **self.head_overrides()}),
            train_cfg=dict(),
            test_cfg=self.test_cfg or dict(mode='whole'),
        )
