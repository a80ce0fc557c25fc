"""A config of this package as mmseg's own inference interfaces read it."""

from __future__ import annotations

import copy

from mmengine.config import Config

_MASKS = ('LoadMask', 'LoadAnnotations')


def mmseg_config(config: str | Config) -> Config:
    """Return a config for ``mmseg.apis``: ``init_model`` and ``MMSegInferencer``.

    mmseg looks for ``LoadImageFromFile`` in the test pipeline, which it replaces by a
    loader of its own, and for ``test_pipeline``.  That loader gives BGR, so the
    preprocessor is told to swap the channels; it turns images by their EXIF tag and
    takes what :class:`s5_mm.LoadImage` refuses, such as alpha and 16 bits.

    Args:
        config: Config of a segmentor, or its file.

    Returns:
        A changed copy.

    Raises:
        ValueError: The model is one for several data sets, which mmseg has no name for.
    """
    cfg = Config.fromfile(config) if isinstance(config, str) else copy.deepcopy(config)
    if cfg.model.type == 's5_mm.MultiDatasetSegmentor':
        raise ValueError(
            f'{cfg.filename}: mmseg has no place for the name of a data set; make a '
            'model of one by tools/model_converters/fold_experts.py first'
        )
    dataset = cfg.test_dataloader.dataset
    kept = []
    for step in dataset.pipeline:
        name = step['type'].rpartition('.')[2]
        if name == 'LoadImage':
            cfg.model.data_preprocessor.bgr_to_rgb = True
            step = dict(type='LoadImageFromFile')
        if name not in _MASKS:
            kept.append(step)
    dataset.pipeline = kept
    cfg.test_pipeline = copy.deepcopy(kept)
    return cfg
