"""The data sets on real imagery; set S5_MM_DATA to the folder that holds it.

Expected below it: ``dubai/`` with 54 + 9 pairs in mmseg's layout, ``korea_s2/`` with
GeoTIFF pairs, ``hrsc_ships/`` with 300 + 80 pairs, ``oam_tiles/`` with unlabelled
tiles, some of them RGBA, and ``loveda_sample/``, ``potsdam_sample/`` and
``vaihingen_sample/`` with images and masks as mmseg converts them in ``img_dir/`` and
``ann_dir/``.
"""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from s5_mm.checkpoints.comparison import last_checkpoint
from s5_mm.cli.config import load_config
from s5_mm.datasets import MultiSourceDataset, SegDataset, UnlabelledDataset
from s5_mm.datasets.verification import verify_dataset
from s5_mm.registry import DATASETS
from s5_mm.utils.batch_size import pass_batch_size

from ..test_end_to_end.toy_mdf import CONFIGS, SHIPPED, SHORT, SMALL, train
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


# -- the shipped configs --------------------------------------------------------------
# Name of a data set, its folder below data_root, stored id -> class id.
BENCHMARKS = {
    'loveda': ('loveDA', {0: 255, **{k: k - 1 for k in range(1, 8)}}),
    'potsdam': ('potsdam', {0: 255, **{k: k - 1 for k in range(1, 6)}, 6: 255}),
    'vaihingen': ('vaihingen', {0: 255, **{k: k - 1 for k in range(1, 6)}, 6: 255}),
}


def shipped(name: str, root: Path, **options: object) -> Config:
    """Small config of a benchmark, with its samples in the layout of mmseg."""
    folder = root / BENCHMARKS[name][0]
    for kind in ('img_dir', 'ann_dir'):
        (folder / kind).mkdir(parents=True)
        for split in ('train', 'val'):
            target = Path(str(DATA), f'{name}_sample', kind).absolute()
            (folder / kind / split).symlink_to(target)
    few = {'train_dataloader.batch_size': 2}
    options = {'data_root': str(root), **SMALL, **SHORT, **few, **options}
    return load_config(str(CONFIGS / f'sdf_vit-b_{name}.py'), options)


@pytest.mark.parametrize('name', BENCHMARKS)
def test_benchmark_trains_and_is_judged(name: str, tmp_path: Path) -> None:
    cfg = shipped(name, tmp_path / 'data')
    train(cfg, tmp_path / 'run')
    scalars = last_checkpoint(tmp_path / 'run')['message_hub']['log_scalars']
    assert np.isfinite(scalars[f'train/{name}.loss_ce'].data[0]).all()
    assert len(scalars[f'train/{name}.loss_ce'].data[0]) == 2
    headline = 'mF1' if name == 'potsdam' else 'mIoU'
    (average,) = scalars['val/average'].data[0]
    assert scalars[f'val/{name}/{headline}'].data[0] == (average,)


@pytest.mark.parametrize('name', BENCHMARKS)
def test_labels_of_a_benchmark(name: str, tmp_path: Path) -> None:
    cfg = shipped(name, tmp_path / 'data')
    init_default_scope('mmseg')
    dataset = DATASETS.build(cfg.val_dataloader.dataset)
    ids = BENCHMARKS[name][1]
    seen = set()
    for index in range(len(dataset)):
        sample = dataset[index]['data_samples']
        mask = sample.metainfo['seg_map_path']
        stored = cv2.imread(mask, cv2.IMREAD_UNCHANGED)
        values, counts = np.unique(stored, return_counts=True)
        want: dict[int, int] = {}
        for value, count in zip(values.tolist(), counts.tolist(), strict=True):
            want[ids[value]] = want.get(ids[value], 0) + count
        values, counts = np.unique(sample.gt_sem_seg.data, return_counts=True)
        assert dict(zip(values.tolist(), counts.tolist(), strict=True)) == want
        seen |= set(want)
    classes = dataset.metainfo['datasets'][name]['classes']
    assert max(seen - {255}) == len(classes) - 1


@pytest.mark.parametrize('name', ['potsdam', 'vaihingen'])
def test_clutter_counts_nowhere(name: str, tmp_path: Path) -> None:
    """The samples have none of it: cars become clutter."""
    cfg = shipped(name, tmp_path / 'data')
    masks = tmp_path / 'data' / name / 'ann_dir' / 'val'
    stored = {path.name: cv2.imread(str(path), -1) for path in masks.iterdir()}
    masks.unlink()
    masks.mkdir()
    for file, mask in stored.items():
        assert cv2.imwrite(str(masks / file), np.where(mask == 5, 6, mask))
    init_default_scope('mmseg')
    dataset = DATASETS.build(cfg.val_dataloader.dataset)
    (mask,) = stored.values()
    labels = dataset[0]['data_samples'].gt_sem_seg.data.numpy()[0]
    assert ((labels == 255) == (mask == 0) | (mask == 5)).all()
    assert set(np.unique(labels)) == {0, 1, 2, 3, 255}


def test_three_small_data_sets_through_their_config() -> None:
    cfg = load_config(str(CONFIGS / f'{SHIPPED}.py'), {'data_root': DATA, **SHORT})
    init_default_scope('mmseg')
    names = {'dubai': 5, 'korea_s2': 5, 'hrsc_ships': 3}
    loader = Runner.build_dataloader(pass_batch_size(cfg.train_dataloader), seed=0)
    assert loader.dataset.source_names == tuple(names)
    assert loader.dataset.source_lengths == (54, 15, 300)
    batch = next(iter(loader))
    for name, classes in names.items():
        assert batch['inputs'][name].shape == (4, 3, 128, 128)
        for sample in batch['data_samples'][name]:
            assert sample.dataset_name == name
            labels = sample.gt_sem_seg.data.unique()
            assert ((labels < classes) | (labels == 255)).all()
    dataset = DATASETS.build(cfg.val_dataloader.dataset)
    assert dataset.source_lengths == (9, 5, 80)
    assert dataset[9]['inputs'].shape == (3, 512, 512)
    assert dataset[9]['data_samples'].img_path.endswith('.tif')
