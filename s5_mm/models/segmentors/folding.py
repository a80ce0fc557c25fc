"""The plain segmentor of one data set."""

from __future__ import annotations

from mmengine.config import ConfigDict

from s5_mm.models.dataset_settings import read_settings

from .dataset_settings import SegmentationSettings


def fold_model(model: ConfigDict, dataset: str) -> dict:
    """Config of the plain segmentor, see :func:`s5_mm.models.folding.fold_config`.

    Args:
        model: Config of a :class:`s5_mm.MultiDatasetSegmentor` with a dense backbone.
        dataset: Name of the data set.

    Returns:
        Config of an ordinary segmentor.
    """
    own = read_settings(model.datasets, SegmentationSettings, 'MultiDatasetSegmentor')[
        dataset
    ]
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
        decode_head=ConfigDict({**model.decode_head, **own.head_overrides()}),
        train_cfg=dict(),
        test_cfg=own.test_cfg or dict(mode='whole'),
    )
