"""What a detector of several data sets has for each of them."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mmengine.config import Config, ConfigDict

from s5_mm.models.dataset_settings import DatasetSettings


@dataclass(frozen=True)
class DetectionSettings(DatasetSettings):
    """One data set's part of a :class:`s5_mm.MultiDatasetDetector`.

    Attributes:
        detector: What its detector has of its own; merged into the common one as
            configs are (``_delete_=True`` replaces).
    """

    detector: Mapping[str, Any] = field(default_factory=dict)

    def detector_config(self, common: Mapping[str, Any]) -> ConfigDict:
        """Config of the detector without backbone.

        Args:
            common: What the detectors of all data sets share.

        Returns:
            The config with this data set's settings and number of classes.

        Raises:
            ValueError: It has no box head, whose classes those of the data set are, or
                a backbone or preprocessor, which all data sets share.
        """
        merged = Config(dict(detector=copy.deepcopy(dict(common))))
        merged.merge_from_dict(dict(detector=copy.deepcopy(dict(self.detector))))
        config = merged.detector
        for key in ('backbone', 'data_preprocessor'):
            if config.get(key) is not None:
                raise ValueError(
                    f'detector.{key}={config[key]} would have no effect; all data sets '
                    f'share one, {key} of the MultiDatasetDetector itself'
                )
        heads = [config.get('bbox_head'), config.get('roi_head', {}).get('bbox_head')]
        found = [
            head
            for own in heads
            for head in (own if isinstance(own, (list, tuple)) else [own])
            if head is not None
        ]
        if not found:
            raise ValueError(
                f'detector has the keys {list(config)}; expected is a config with '
                'roi_head.bbox_head (two stages) or bbox_head (one stage)'
            )
        for head in found:
            head['num_classes'] = self.num_classes
        return config

    def plain_model(self, model: ConfigDict, dataset: str) -> dict:
        """Config of a detector of mmdet, see :meth:`DatasetSettings.plain_model`."""
        plain = self.detector_config(model.detector)
        plain.data_preprocessor = model.data_preprocessor
        plain.backbone = model.backbone
        return plain
