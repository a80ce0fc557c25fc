"""Compare the classes of a model with those of its data, before either is built."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmengine.config import Config

from s5_mm.registry import DATASETS

_HEADS = ('decode_head', 'auxiliary_head')


def check_classes(cfg: Config, *splits: str) -> None:
    """Refuse a head of another number of classes than the data sets name.

    Only models of one head are looked at, and data sets whose classes are known before
    they are read: the rest is :class:`s5_mm.DatasetCheckHook`'s.

    Args:
        cfg: The config.
        *splits: 'train', 'val' or 'test', whose loaders are compared.

    Raises:
        ValueError: Naming the setting of the head and the data set.
    """
    heads = [
        (f'{where}.{key}', head)
        for where, model in _models(cfg.get('model'), 'model')
        for key, head in _class_heads(model)
        if 'datasets' not in model
    ]
    for split in splits:
        loader = f'{split}_dataloader'
        dataset = (cfg.get(loader) or {}).get('dataset')
        for where, classes in _class_lists(dataset, f'{loader}.dataset'):
            for key, head in heads:
                found = head.get('num_classes')
                # One channel with a sigmoid may stand for two classes.
                one = 1 in (found, head.get('out_channels'))
                if isinstance(found, int) and found != len(classes) and not one:
                    raise ValueError(
                        f'{key}.num_classes is {found}, {where} has {len(classes)} '
                        f'classes {tuple(classes)}; set {key}.num_classes='
                        f'{len(classes)}, or metainfo.classes of the data set'
                    )


def _class_heads(model: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Heads of a model that classify, and their keys."""
    roi_head = model.get('roi_head')
    box_head = roi_head.get('bbox_head') if isinstance(roi_head, dict) else None
    for key, head in (
        *((name, model.get(name)) for name in _HEADS),
        ('roi_head.bbox_head', box_head),
    ):
        if isinstance(head, dict):
            yield key, head


def _class_lists(dataset: Any, key: str) -> Iterator[tuple[str, Sequence[str]]]:
    """Classes of a data set and of its sources, where a config or a class has them."""
    if not isinstance(dataset, dict):
        return
    classes = (dataset.get('metainfo') or {}).get('classes')
    if classes is None and isinstance(dataset.get('type'), str):
        known = DATASETS.get(dataset['type'])
        classes = (getattr(known, 'METAINFO', None) or {}).get('classes')
    if isinstance(classes, (list, tuple)):
        yield key, classes
    sources = dataset.get('sources')
    if isinstance(sources, dict):
        for name, source in sources.items():
            yield from _class_lists(source, f'{key}.sources.{name}')


def _models(node: Any, key: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Parts of a config that have a backbone, and their keys."""
    if not isinstance(node, dict):
        return
    if isinstance(node.get('backbone'), dict):
        yield key, node
    for name, child in node.items():
        if name != 'backbone':
            yield from _models(child, f'{key}.{name}')
