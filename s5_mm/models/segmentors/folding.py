"""One plain model for each data set, out of one for several."""

from __future__ import annotations

import copy

from mmengine.config import Config, ConfigDict
from torch import Tensor

from s5_mm.utils.config import OrderedConfig
from s5_mm.utils.routing import RoutingError

from .dataset_settings import read_settings
from .multi_dataset_segmentor import MultiDatasetSegmentor


def fold_state(model: MultiDatasetSegmentor, dataset: str) -> dict[str, Tensor]:
    """Weights of the plain segmentor that does what one data set's path does.

    Args:
        model: MDF or MoE-MDF.
        dataset: Name of the data set.

    Returns:
        State dict with ``backbone.*`` (dense, see :meth:`s5_mm.ViTMoE.fold_state`) and
        ``decode_head.*``.

    Raises:
        RoutingError: The model does not know the data set.
    """
    if dataset not in model.datasets:
        raise RoutingError(
            f'the model has no data set {dataset!r} to fold; it has '
            f'{list(model.datasets)}'
        )
    backbone, head = model.backbone, model.decode_heads[dataset]
    fold = getattr(backbone, 'fold_state', None)
    dense = backbone.state_dict() if fold is None else fold(dataset)
    return {
        **{f'backbone.{name}': value for name, value in dense.items()},
        **{f'decode_head.{name}': value for name, value in head.state_dict().items()},
    }


def fold_config(cfg: Config, dataset: str) -> Config:
    """Config of the folded model: an ordinary segmentor with its test data.

    Args:
        cfg: Config of a :class:`MultiDatasetSegmentor`; left as it is.
        dataset: Name of the data set.

    Returns:
        A config for ``tools/test.py``, without anything of other data sets.

    Raises:
        RoutingError: The config has no such data set, or does not test it.
    """
    settings = read_settings(cfg.model.datasets)
    for part, names in (
        ('model.datasets', settings),
        ('test_dataloader.dataset.sources', cfg.test_dataloader.dataset.sources),
        ('test_evaluator.metrics', cfg.test_evaluator.metrics),
    ):
        if dataset not in names:
            raise RoutingError(
                f'{part} has no data set {dataset!r} to fold; it has {list(names)}'
            )
    model = copy.deepcopy(cfg.model)
    own = settings[dataset]
    backbone = model.backbone
    if backbone.type == 's5_mm.ViTMoE':
        backbone.type = 's5_mm.ViT'
        backbone.pop('datasets', None)
        backbone.pop('part_features', None)
    backbone.pop('init_cfg', None)
    head = ConfigDict({**model.decode_head, **own.head_overrides()})
    loader = copy.deepcopy(cfg.test_dataloader)
    loader.dataset.sources = {dataset: loader.dataset.sources[dataset]}
    loader.batch_size = 1  # mmseg's preprocessor wants images of one size
    evaluator = copy.deepcopy(cfg.test_evaluator)
    evaluator.metrics = {dataset: evaluator.metrics[dataset]}
    if dataset in evaluator.get('headline', {}):
        evaluator.headline = {dataset: evaluator.headline[dataset]}
    else:
        evaluator.pop('headline', None)
    preprocessor = model.data_preprocessor
    return OrderedConfig(
        dict(
            **{key: cfg[key] for key in _KEPT if key in cfg},
            model=dict(
                type='s5_mm.EncoderDecoder',
                dataset_name=dataset,
                data_preprocessor=dict(
                    type='SegDataPreProcessor',
                    mean=preprocessor.mean,
                    std=preprocessor.std,
                    bgr_to_rgb=False,  # s5_mm.LoadImage gives RGB
                ),
                backbone=backbone,
                decode_head=head,
                train_cfg=dict(),
                test_cfg=own.test_cfg or dict(mode='whole'),
            ),
            test_dataloader=loader,
            test_evaluator=evaluator,
            test_cfg=dict(type='TestLoop'),
        )
    )


_KEPT = (
    'data_root',
    'default_scope',
    'custom_imports',
    'env_cfg',
    'model_wrapper_cfg',
    'default_hooks',
    'log_processor',
    'log_level',
    'randomness',
    'tta_model',
    'tta_pipeline',
    'vis_backends',
    'visualizer',
)
