"""One plain model for each data set, out of one for several."""

from __future__ import annotations

import copy

from mmengine.config import Config
from torch import Tensor

from s5_mm.utils.ordered_config import OrderedConfig
from s5_mm.utils.routing import RoutingError

from .multi_dataset import MultiDatasetModel


def fold_state(model: MultiDatasetModel, dataset: str) -> dict[str, Tensor]:
    """Weights of the plain model that does what one data set's path does.

    Args:
        model: MDF or MoE-MDF.
        dataset: Name of the data set.

    Returns:
        State dict with ``backbone.*`` (dense, see :meth:`s5_mm.ViTMoE.fold_state`) and
        the decoder.

    Raises:
        RoutingError: The model does not know the data set.
    """
    if dataset not in model.datasets:
        raise RoutingError(
            f'the model has no data set {dataset!r} to fold; it has '
            f'{list(model.datasets)}'
        )
    backbone = model.backbone
    fold = getattr(backbone, 'fold_state', None)
    dense = backbone.state_dict() if fold is None else fold(dataset)
    own = getattr(model, model.part_prefix)[dataset].state_dict()
    return {
        **{f'backbone.{name}': value for name, value in dense.items()},
        **{f'{model.plain_prefix}{name}': value for name, value in own.items()},
    }


def fold_config(cfg: Config, dataset: str, model: MultiDatasetModel) -> Config:
    """Config of the folded model: an ordinary one with its test data.

    Args:
        cfg: Config of a model of several data sets; left as it is.
        dataset: Name of the data set.
        model: The built model.

    Returns:
        A config for ``tools/test.py``, without anything of other data sets.

    Raises:
        RoutingError: The config has no such data set, or does not test it.
    """
    listed = cfg.model.datasets
    names = listed if isinstance(listed, dict) else [own.name for own in listed]
    for part, known in (
        ('model.datasets', names),
        ('test_dataloader.dataset.sources', cfg.test_dataloader.dataset.sources),
        ('test_evaluator.metrics', cfg.test_evaluator.metrics),
    ):
        if dataset not in known:
            raise RoutingError(
                f'{part} has no data set {dataset!r} to fold; it has {list(known)}'
            )
    config = copy.deepcopy(cfg.model)
    backbone = config.backbone
    if backbone.type == 's5_mm.ViTMoE':
        backbone.type = 's5_mm.ViT'
        backbone.pop('datasets', None)
        backbone.pop('part_features', None)
    backbone.pop('init_cfg', None)
    loader = copy.deepcopy(cfg.test_dataloader)
    loader.dataset.sources = {dataset: loader.dataset.sources[dataset]}
    loader.batch_size = 1  # the hosts' preprocessors want images of one size
    evaluator = copy.deepcopy(cfg.test_evaluator)
    evaluator.metrics = {dataset: evaluator.metrics[dataset]}
    if dataset in evaluator.get('headline', {}):
        evaluator.headline = {dataset: evaluator.headline[dataset]}
    else:
        evaluator.pop('headline', None)
    return OrderedConfig(
        dict(
            **{key: cfg[key] for key in _KEPT if key in cfg},
            model=model.settings[dataset].plain_model(config, dataset),
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
