"""Several data sets as the sources of one stream."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

import cv2
import numpy as np
from torch.utils.data import ConcatDataset, Dataset, get_worker_info

from s5_mm.registry import DATASETS
from s5_mm.utils.randomness import SampleKey, View, seeded_for

from .unlabelled import UnlabelledDataset

#: Images that are tried for one sample of training.
_DRAWS = 50


@DATASETS.register_module()
class MultiSourceDataset(Dataset):
    """Several data sets side by side, each with a name.

    The sources are laid end to end: index ``i`` of source ``s`` is
    ``sum(source_lengths[:s]) + i``.  Draw from it with
    :class:`s5_mm.MultiSourceSampler`, whose indices carry the key of the sample; a
    plain integer means the key ``(0, source, index)``, so its augmentation never
    changes.

    Each sample is made with the host's generators seeded from its key, so transforms of
    mmcv, mmseg and mmdet in the pipelines obey it too; a pipeline of none but
    :func:`keyed <s5_mm.utils.randomness.keyed>` transforms goes without. Where a
    pipeline of a training source returns None, as mmdet's random crop does without an
    object in it, the sample is drawn anew from its own key, from another image. Its
    results carry the name of the source as ``source`` and as ``dataset_name``, by which
    a model of several data sets finds the parts that are its own.

    Args:
        sources: Name -> config of a data set, or a data set, or the name of an
            earlier source to draw from the same images once more (as the partners of
            CutMix are).  A data set is either ours, a child of mmengine's
            ``BaseDataset``, or a ``ConcatDataset`` of such, whose parts keep their own
            pipelines.
        pipeline: Pipeline of the sources, and parts of sources, whose config has none.

    Raises:
        ValueError: If there is no source, a name refers to no earlier one, or a
            source is empty.
    """

    def __init__(
        self, sources: Mapping[str, Any], pipeline: Sequence[dict] | None = None
    ) -> None:
        if not sources:
            raise ValueError('MultiSourceDataset got no sources, expected at least one')
        self.source_names = tuple(sources)
        opened: dict[str, Any] = {}
        for name, source in sources.items():
            if isinstance(source, str) and source not in opened:
                raise ValueError(
                    f'source {name!r} refers to {source!r}, expected the name of an '
                    f'earlier source: {list(opened)}'
                )
            if isinstance(source, str):
                opened[name] = opened[source]
            elif isinstance(source, Mapping):
                opened[name] = DATASETS.build(_with_pipeline(source, pipeline))
            else:
                opened[name] = source
        self.datasets = tuple(opened.values())
        self.source_lengths = tuple(len(dataset) for dataset in self.datasets)
        for name, length in zip(self.source_names, self.source_lengths, strict=True):
            if length == 0:
                raise ValueError(f'source {name!r} is empty, expected images')
        self._starts = (0, *accumulate(self.source_lengths))

    @property
    def metainfo(self) -> dict:
        """Meta information of the first source that names its classes.

        ``datasets`` holds that of each such source by its name.
        """
        infos = [dict(getattr(dataset, 'metainfo', {})) for dataset in self.datasets]
        named = {
            name: info
            for name, info in zip(self.source_names, infos, strict=True)
            if info.get('classes')
        }
        first = next(iter(named.values()), infos[0])
        return {**first, 'datasets': named}

    def __len__(self) -> int:
        return self._starts[-1]

    def locate(self, index: int) -> tuple[int, int]:
        """Find the source of an index.

        Args:
            index: Index of this data set.

        Returns:
            Number of the source and index in it.

        Raises:
            IndexError: If it is out of range.
        """
        if not 0 <= index < len(self):
            raise IndexError(f'index {int(index)}, expected 0..{len(self) - 1}')
        source = bisect_right(self._starts, index) - 1
        return source, int(index) - self._starts[source]

    def __getitem__(self, index: int) -> Any:
        if get_worker_info() is not None and cv2.getNumThreads() > 1:
            # Workers are the parallelism; mmengine's env_cfg reaches forks alone.
            cv2.setNumThreads(0)
        source, local = self.locate(index)
        key = getattr(index, 'key', None) or SampleKey(0, source, local)
        name = self.source_names[source]
        extra = {'sample_key': key, 'source': name, 'dataset_name': name}
        wanted = getattr(index, 'wanted', None)
        if wanted is not None:
            extra['wanted_class'] = wanted
        dataset, local = _part(self.datasets[source], local)
        if isinstance(dataset, UnlabelledDataset):
            return dataset.prepare(local, extra)
        with seeded_for(dataset.pipeline, key, View.GEOMETRY):
            for _ in range(_DRAWS):
                sample = dataset.pipeline({**dataset.get_data_info(local), **extra})
                if sample is not None:
                    return sample
                if getattr(dataset, 'test_mode', False):
                    break
                # The global generators are the sample's own here.
                local = int(np.random.randint(len(dataset)))
        path = dataset.get_data_info(local).get('img_path')
        raise ValueError(
            f'source {name!r}: its pipeline returned no sample for {path}, nor for '
            f'what was drawn before it, at most {_DRAWS} images of the source; crops '
            'without objects are let through by allow_negative_crop=True, images '
            'without objects are left out by filter_cfg=dict(filter_empty_gt=True)'
        )


def _with_pipeline(source: Mapping[str, Any], pipeline: Sequence[dict] | None) -> dict:
    """Give a source, or the parts of one that is put together, the common pipeline."""
    if pipeline is None:
        return dict(source)
    parts = source.get('datasets')
    if parts is not None:
        parts = [
            _with_pipeline(part, pipeline) if isinstance(part, Mapping) else part
            for part in parts
        ]
        return {**source, 'datasets': parts}
    return {'pipeline': list(pipeline), **source}


def _part(dataset: Any, index: int) -> tuple[Any, int]:
    """Find the data set that holds a sample, and its index there.

    Args:
        dataset: A data set, or torch's or mmengine's ``ConcatDataset``, also nested.
        index: Index of the sample in it, not negative.

    Returns:
        The data set that is no ``ConcatDataset`` and the index in it.
    """
    while isinstance(dataset, ConcatDataset):
        ends = dataset.cumulative_sizes
        part = bisect_right(ends, index)
        index -= ends[part - 1] if part else 0
        dataset = dataset.datasets[part]
    return dataset, index
