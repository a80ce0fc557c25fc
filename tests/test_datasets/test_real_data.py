"""The data sets on real imagery; set S5_MM_DATA to the folder that holds it.

Expected below it: ``dubai/`` with 54 + 9 pairs in mmseg's layout, ``korea_s2/`` with
GeoTIFF pairs, ``oam_tiles/`` with unlabelled tiles, some of them RGBA.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from mmengine.runner import Runner

from s5_mm.datasets import MultiSourceDataset, SegDataset, UnlabelledDataset
from s5_mm.datasets.verification import verify_dataset

from .files import LABELLED, UNLABELLED

DATA = os.environ.get('S5_MM_DATA')
pytestmark = pytest.mark.skipif(
    not DATA, reason='S5_MM_DATA does not name a folder of real imagery'
)
META = {'classes': ('building', 'land', 'road', 'vegetation', 'water')}
DROP = [{**UNLABELLED[0], 'alpha': 'drop'}, *UNLABELLED[1:]]


def pairs(name: str, split: str, **kwargs: object) -> SegDataset:
    return SegDataset(
        data_root=str(Path(str(DATA), name)),
        data_prefix={
            'img_path': f'img_dir/{split}',
            'seg_map_path': f'ann_dir/{split}',
        },
        metainfo=META,
        pipeline=LABELLED,
        **kwargs,
    )


def test_labelled_tiles() -> None:
    dataset = pairs('dubai', 'train', verify='headers')
    assert len(dataset) == 54
    assert dataset[0]['inputs'].shape == (3, 24, 24)
    verify_dataset(pairs('dubai', 'val'), 'full')


def test_geotiff() -> None:
    dataset = pairs('korea_s2', 'val', img_suffix='.tif', seg_map_suffix='.tif')
    assert len(dataset) == 5
    verify_dataset(dataset, 'full')


def test_unlabelled_tiles_with_alpha() -> None:
    folder = str(Path(str(DATA), 'oam_tiles'))
    verify_dataset(UnlabelledDataset(data_dir=folder, pipeline=DROP), 'full')
    strict = UnlabelledDataset(data_dir=folder, pipeline=UNLABELLED)
    with pytest.raises(
        ValueError, match=r'179 bad file\(s\) in 1869 samples(.|\n)*RGBA'
    ):
        verify_dataset(strict, 'headers')


def test_stream_of_both() -> None:
    folder = str(Path(str(DATA), 'oam_tiles'))
    dataset = MultiSourceDataset(
        {
            'sup': pairs('dubai', 'train'),
            'unsup': UnlabelledDataset(data_dir=folder, pipeline=DROP),
        }
    )
    loader = Runner.build_dataloader(
        {
            'dataset': dataset,
            'batch_size': 4,
            'num_workers': 0,
            'sampler': {'type': 's5_mm.MultiSourceSampler', 'shares': [2, 2]},
            'collate_fn': {'type': 's5_mm.branch_collate'},
        },
        seed=0,
    )
    batch = next(iter(loader))
    assert batch['inputs']['sup'].shape == batch['inputs']['unsup'].shape
