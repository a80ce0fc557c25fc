"""The plain detector of one data set."""

from __future__ import annotations

from mmengine.config import ConfigDict

from s5_mm.models.dataset_settings import read_settings

from .dataset_settings import DetectionSettings


def fold_model(model: ConfigDict, dataset: str) -> dict:
    """Config of the plain detector, see :func:`s5_mm.models.folding.fold_config`.

    Args:
        model: Config of a :class:`s5_mm.MultiDatasetDetector` with a dense backbone.
        dataset: Name of the data set.

    Returns:
        Config of an ordinary detector of mmdet or mmrotate.
    """
    own = read_settings(model.datasets, DetectionSettings, 'MultiDatasetDetector')
    plain = own[dataset].detector_config(model.detector)
    plain.data_preprocessor = model.data_preprocessor
    plain.backbone = model.backbone
    return plain
