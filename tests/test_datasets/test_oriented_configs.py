"""The shipped configs of oriented boxes read what their owners distribute."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

pytest.importorskip('mmrotate', reason='mmrotate is not installed')
from mmengine.config import Config  # noqa: E402
from mmrotate.datasets import DIORDataset, DOTAv2Dataset  # noqa: E402

from s5_mm.datasets import MultiSourceDataset  # noqa: E402

from .files import picture, write  # noqa: E402
from .oriented_configs import CONFIGS, config, pipeline  # noqa: E402
from .oriented_files import UPRIGHT, put, text, xml  # noqa: E402  # noqa: E402

DATA = os.environ.get('S5_MM_DATA')


def test_shipped_pipelines() -> None:
    for split in ('train', 'val'):
        steps = Config.fromfile(CONFIGS / 'multi_dataset_det.py')[f'{split}_pipeline']
        kinds = [step.type.split('.')[1] for step in steps]
        assert [s.scale for s in steps if s.type == 'mmdet.Resize'] == [(1024, 1024)]
        assert kinds.count('RandomFlip') == (split == 'train')
        late = kinds.index('LoadAnnotations') > kinds.index('Resize')
        assert late is (split == 'val')


def test_configs_read_their_owners_layouts(tmp_path: Path) -> None:
    root = tmp_path / 'patches'
    box = (10, 10, 30, 10, 30, 20, 10, 20)
    labels = (*DOTAv2Dataset.METAINFO['classes'],)
    speck, line = (1, 1, 2, 1, 2, 4, 1, 4), (1, 1, 9, 9, 9, 9, 1, 1)
    many = text(*((box, label, 1) for label in labels))
    many += text((speck, 'ship', 0), (line, 'ship', 0))
    for name, content in (('P1', many), ('P2', '')):
        for split in ('trainval', 'val', 'test'):
            write(root / split / 'images' / f'{name}.png', picture())
        for split in ('trainval', 'val'):
            put(root / split / 'annfiles' / f'{name}.txt', content)
    own = config('dotav2')
    expected = {'train': (1, 18), 'val': (2, 19), 'test': (2, 0)}
    for split, (images, boxes) in expected.items():
        source = {**own[split], 'data_root': str(root)}
        steps = pipeline(1024, 'train' if split == 'train' else 'val')
        dataset = MultiSourceDataset({'dotav2': source}, pipeline=steps)
        assert len(dataset) == images
        sample = dataset[0]
        assert sample['inputs'].shape == (3, 819, 1024)
        assert sample['data_samples'].dataset_name == 'dotav2'
        truth = sample['data_samples'].gt_instances
        assert len(truth) == boxes
        if split == 'train':
            names = [own.train.metainfo.classes[i] for i in truth.labels]
            assert tuple(names) == labels


def test_config_of_xml_reads_its_owners_layout(tmp_path: Path) -> None:
    labels = (*DIORDataset.METAINFO['classes'],)
    written = [name.title() for name in labels]
    line = (4, 4, 4, 4, 12, 10, 12, 10)
    for split, stem in (('trainval', '00001'), ('test', '00002')):
        boxes = [(UPRIGHT, name, None) for name in written]
        write(tmp_path / f'JPEGImages-{split}' / f'{stem}.jpg', picture())
        put(
            tmp_path / 'Annotations' / 'Oriented Bounding Boxes' / f'{stem}.xml',
            xml(*boxes, (line, written[0], None)),
        )
        put(tmp_path / 'ImageSets' / 'Main' / f'{split}.txt', f'{stem}\n')
    own = config('diorr')
    for split, stem in (('train', '00001'), ('val', '00002')):
        source = {**own[split], 'data_root': str(tmp_path)}
        dataset = MultiSourceDataset({'diorr': source}, pipeline=pipeline(1024, split))
        (sample,) = (dataset[i] for i in range(len(dataset)))
        assert sample['inputs'].shape == (3, 819, 1024)
        assert sample['data_samples'].img_id == stem
        truth = sample['data_samples'].gt_instances
        assert truth.labels.tolist() == [*range(20), 0]
        scale = 1024 / 40 if split == 'train' else 1
        assert float(truth.bboxes.tensor[-1, 2:4].min()) == pytest.approx(scale, 1e-3)


@pytest.mark.skipif(
    not DATA, reason='S5_MM_DATA does not name a folder of real imagery'
)
@pytest.mark.parametrize(
    ('name', 'folder', 'counts'),
    [
        ('hrsc_ships_boxes', 'hrsc_ships', {'train': (299, 1338), 'val': (80, 452)}),
        ('dota8', 'dota8', {'train': (4, 125), 'val': (4, 8)}),
    ],
)
def test_real_imagery(name: str, folder: str, counts: dict) -> None:
    own = config(name)
    for split, (images, boxes) in counts.items():
        source = {**own[split], 'data_root': f'{DATA}/{folder}'}
        side = 256 if name == 'hrsc_ships_boxes' else 1024
        dataset = MultiSourceDataset({name: source}, pipeline=pipeline(side, split))
        assert len(dataset) == images
        found = [dataset.datasets[0].get_data_info(i) for i in range(images)]
        assert sum(len(info['instances']) for info in found) == boxes
        for index in range(0, images, max(1, images // 4)):
            sample = dataset[index]
            assert sample['inputs'].dtype == torch.uint8
            assert sample['inputs'].shape == (3, side, side)
            truth = sample['data_samples'].gt_instances
            assert len(truth) == len(found[index]['instances'])
            assert torch.isfinite(truth.bboxes.tensor).all()
            assert (truth.bboxes.tensor[:, 2:4] > 0).all()
