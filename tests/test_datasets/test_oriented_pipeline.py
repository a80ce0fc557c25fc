"""Oriented boxes through the hosts' transforms: geometry, draws and batches."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

pytest.importorskip('mmrotate', reason='mmrotate is not installed')
from mmengine.runner import Runner  # noqa: E402
from mmrotate.datasets import DIORDataset, DOTADataset, DOTAv2Dataset  # noqa: E402
from mmrotate.structures.bbox import QuadriBoxes, RotatedBoxes  # noqa: E402

from s5_mm.datasets import MultiSourceDataset  # noqa: E402
from s5_mm.utils.randomness import SampleKey, StreamIndex  # noqa: E402
from s5_mm.visualization import categorical_palette  # noqa: E402

from .files import picture, write  # noqa: E402
from .oriented_configs import config, pipeline  # noqa: E402
from .oriented_files import META, TILTED, UPRIGHT, dota_tree, text, voc_tree, xml  # noqa: E402  # noqa: E402

NAMES = ('hrsc_ships_boxes', 'dota8', 'dotav2', 'diorr')


def two_sources(root: Path) -> dict:
    """A data set of each format, named x and y; one image of x is empty."""
    boxes = text((UPRIGHT, 'ship', 0), (TILTED, 'Helipad', 0))
    texts = {'a': boxes, 'b': '', 'c': text((TILTED, 'ship', 0)), 'd': boxes}
    xmls = {f'{i}': xml((TILTED, 'large-vehicle', 0)) for i in range(5)}
    return {
        'x': dota_tree(root / 'x', texts),
        'y': voc_tree(root / 'y', xmls, {'all': list(xmls)}),
    }


def corners_of(sample: dict) -> np.ndarray:
    boxes = sample['data_samples'].gt_instances.bboxes
    assert isinstance(boxes, RotatedBoxes)
    return RotatedBoxes.rbox2corner(boxes.tensor.double()).numpy()


def same_corners(found: np.ndarray, wanted: np.ndarray, tolerance: float) -> bool:
    """Compare two boxes whatever their first corner and sense are."""
    turns = [np.roll(order, k, 0) for order in (wanted, wanted[::-1]) for k in range(4)]
    return min(np.abs(found - turn).max() for turn in turns) < tolerance


def covered(corners: np.ndarray, height: int, width: int) -> np.ndarray:
    """Pixels whose centre is in a box: on one side of all of its edges."""
    y, x = np.mgrid[:height, :width] + 0.5
    edges = zip(corners, np.roll(corners, -1, 0), strict=True)
    sides = [(x - a) * (d - b) - (y - b) * (c - a) for (a, b), (c, d) in edges]
    return (np.array(sides) > 0).all(0) | (np.array(sides) < 0).all(0)


def test_boxes_follow_their_pixels_through_every_flip(tmp_path: Path) -> None:
    """A red box is painted, moved by the transforms, and looked for."""
    centre, sides, angle = (21.0, 14.0), (18.0, 7.0), 27.0
    corners = cv2.boxPoints((centre, sides, angle))
    image = np.zeros((32, 40, 3), np.uint8)
    image[..., 0] = 255 * covered(corners, 32, 40)
    row = [round(float(value), 2) for value in corners.ravel()]
    cfg = dota_tree(tmp_path, {'a': text((row, 'ship', 0))})
    write(tmp_path / 'images' / 'a.png', image)
    dataset = MultiSourceDataset({'x': cfg}, pipeline=pipeline(160))
    seen = set()
    for position in range(16):
        sample = dataset[StreamIndex(0, SampleKey(3, 0, position))]
        meta = sample['data_samples'].metainfo
        height, width = meta['img_shape']
        assert (height, width) == (128, 160)
        assert meta['scale_factor'] == (4.0, 4.0)
        direction = meta['flip_direction']
        seen.add(direction)
        wanted = np.array(row).reshape(4, 2) * 4
        if direction in ('horizontal', 'diagonal'):
            wanted[:, 0] = width - wanted[:, 0]
        if direction in ('vertical', 'diagonal'):
            wanted[:, 1] = height - wanted[:, 1]
        (found,) = corners_of(sample)
        assert same_corners(found, wanted, 0.05)
        red, green, blue = sample['inputs'].numpy()
        assert not green.any()
        assert not blue.any()
        inside, painted = covered(found, height, width), red > 127
        overlap = (painted & inside).sum() / (painted | inside).sum()
        # Stairs of 4 px along the border; another angle or place is below 0.5.
        assert overlap > 0.85
        assert sample['data_samples'].gt_instances.labels.tolist() == [0]
    assert seen == {None, 'horizontal', 'vertical', 'diagonal'}


def test_conversion_of_corners_is_not_regular() -> None:
    """minAreaRect neither makes w the longer side nor angles le90; the coders do."""
    rng = np.random.default_rng(0)
    centre = rng.uniform(0, 1024, (300, 1, 2))
    w, h = rng.uniform(8, 200, (2, 300))
    angle = rng.uniform(-np.pi, np.pi, 300)
    along = np.stack([np.cos(angle), np.sin(angle)], 1)[:, None]
    across = np.stack([-np.sin(angle), np.cos(angle)], 1)[:, None]
    signs = np.array([[1, 1], [1, -1], [-1, -1], [-1, 1]]) / 2
    corners = centre + along * (signs[:, :1] * w[:, None, None])
    corners += across * (signs[:, 1:] * h[:, None, None])
    boxes = QuadriBoxes(torch.tensor(corners.reshape(-1, 8)).float()).convert_to('rbox')
    raw = boxes.tensor.clone()
    assert (raw[:, 2] < raw[:, 3]).any()
    low = 0 if int(cv2.__version__.split('.')[0]) < 5 else -np.pi / 2
    assert (raw[:, 4] >= low - 1e-6).all()
    assert (raw[:, 4] <= low + np.pi / 2 + 1e-6).all()
    back = RotatedBoxes.rbox2corner(raw.double()).numpy()
    assert all(same_corners(a, b, 0.02) for a, b in zip(back, corners, strict=True))
    regular = boxes.regularize_boxes('le90').double().numpy()
    longer, shorter = np.maximum(w, h), np.minimum(w, h)
    turned = np.where(w >= h, angle, angle + np.pi / 2)
    assert np.allclose(regular[:, 2], longer, atol=0.02)
    assert np.allclose(regular[:, 3], shorter, atol=0.02)
    assert (np.abs(regular[:, 4]) <= np.pi / 2).all()
    # Near squares may be turned by a right angle.
    clear = longer > 1.05 * shorter
    assert np.allclose(np.sin(regular[:, 4] - turned)[clear], 0, atol=0.01)


def test_boxes_to_be_judged_by_are_those_of_the_file(tmp_path: Path) -> None:
    cfg = {**dota_tree(tmp_path, {'a': text((TILTED, 'ship', 0))}), 'test_mode': True}
    dataset = MultiSourceDataset({'x': cfg}, pipeline=pipeline(160, 'val'))
    sample = dataset[0]
    assert sample['inputs'].shape == (3, 128, 160)
    assert sample['data_samples'].ori_shape == (32, 40)
    assert same_corners(corners_of(sample)[0], np.array(TILTED).reshape(4, 2), 0.01)


def test_channels_are_red_green_blue(tmp_path: Path) -> None:
    cfg = dota_tree(tmp_path, {'a': text((TILTED, 'ship', 0))})
    sample = MultiSourceDataset({'x': cfg}, pipeline=pipeline(40, 'val'))[0]
    wanted = torch.from_numpy(picture(0)).permute(2, 0, 1)
    assert sample['inputs'].equal(wanted)
    steps = [{'type': 'mmdet.LoadImageFromFile'}, *pipeline(40, 'val')[1:]]
    host = MultiSourceDataset({'x': cfg}, pipeline=steps)[0]
    assert host['inputs'].equal(wanted.flip(0))  # BGR


def test_images_without_boxes(tmp_path: Path) -> None:
    cfg = dota_tree(tmp_path, {'a': ''})
    bare = {**cfg, 'ann_file': '', 'test_mode': True}
    for source in (cfg, bare):
        sample = MultiSourceDataset({'x': source}, pipeline=pipeline())[0]
        truth = sample['data_samples'].gt_instances
        assert truth.bboxes.tensor.shape == (0, 5)
        assert (truth.labels.shape, truth.labels.dtype) == ((0,), torch.int64)
        assert len(sample['data_samples'].ignored_instances) == 0


def test_difficult_objects_are_set_aside(tmp_path: Path) -> None:
    boxes = text((UPRIGHT, 'ship', 0), (TILTED, 'Helipad', 1))
    cfg = {**dota_tree(tmp_path, {'a': boxes}), 'diff_thr': 0}
    sample = MultiSourceDataset({'x': cfg}, pipeline=pipeline())[0]['data_samples']
    assert sample.gt_instances.labels.tolist() == [0]
    assert sample.ignored_instances.labels.tolist() == [2]
    assert sample.ignored_instances.bboxes.tensor.shape == (1, 5)


def batches(root: Path, workers: int, disturb: int = 0) -> list[dict]:
    np.random.seed(disturb)
    torch.manual_seed(disturb)
    sources = two_sources(root)
    sources['x']['filter_cfg'] = {'filter_empty_gt': True}
    loader = Runner.build_dataloader(
        {
            'dataset': {
                'type': 's5_mm.MultiSourceDataset',
                'sources': sources,
                'pipeline': pipeline(),
            },
            'batch_size': 3,
            'num_workers': workers,
            'sampler': {
                'type': 's5_mm.MultiSourceSampler',
                'shares': [2, 1],
                'seed': 7,
            },
            'collate_fn': {'type': 'pseudo_collate'},
        },
        seed=disturb,
    )
    stream = iter(loader)
    return [next(stream) for _ in range(6)]


def test_samples_are_functions_of_their_keys(tmp_path: Path) -> None:
    wanted = batches(tmp_path, 0)
    directions = set()
    for workers, disturb in ((0, 1), (2, 2)):
        for mine, other in zip(
            batches(tmp_path, workers, disturb), wanted, strict=True
        ):
            assert len(mine['inputs']) == len(other['inputs']) == 3
            for a, b in zip(mine['inputs'], other['inputs'], strict=True):
                assert a.equal(b)
            for a, b in zip(mine['data_samples'], other['data_samples'], strict=True):
                assert a.metainfo == b.metainfo
                assert a.gt_instances.labels.equal(b.gt_instances.labels)
                boxes = a.gt_instances.bboxes.tensor
                assert boxes.equal(b.gt_instances.bboxes.tensor)
                assert len(boxes) > 0
                directions.add(a.flip_direction)
    assert len(directions) == 4
    for step, batch in enumerate(wanted):
        metas = [sample.metainfo for sample in batch['data_samples']]
        assert [meta['dataset_name'] for meta in metas] == ['x', 'x', 'y']
        assert [meta['source'] for meta in metas] == ['x', 'x', 'y']
        keys = [meta['sample_key'] for meta in metas]
        assert keys == [(7, 0, 2 * step), (7, 0, 2 * step + 1), (7, 1, step)]


def test_meta_of_both_sources(tmp_path: Path) -> None:
    dataset = MultiSourceDataset(two_sources(tmp_path), pipeline=pipeline())
    info = dataset.metainfo
    assert list(info['datasets']) == ['x', 'y']
    for name in ('x', 'y'):
        assert info['datasets'][name]['classes'] == META['classes']
        assert info['datasets'][name]['palette'] == META['palette']
    assert (info['classes'], info['palette']) == (META['classes'], META['palette'])


def test_without_a_palette_colours_can_be_told_apart(tmp_path: Path) -> None:
    sources = two_sources(tmp_path)
    for source in sources.values():
        source['metainfo'] = dict(classes=META['classes'])
    info = MultiSourceDataset(sources, pipeline=pipeline()).metainfo
    assert info['datasets']['x']['palette'] == categorical_palette(3)


def test_samples_that_lose_their_boxes_are_drawn_again(tmp_path: Path) -> None:
    small = text(((4, 4, 7, 4, 7, 7, 4, 7), 'ship', 0))
    large = text((UPRIGHT, 'ship', 0))
    texts = {'a': small, 'b': large, 'c': small, 'd': large}
    steps = pipeline(40)
    steps.insert(-1, {'type': 'mmdet.FilterAnnotations', 'min_gt_bbox_wh': (5, 5)})
    dataset = MultiSourceDataset({'x': dota_tree(tmp_path, texts)}, pipeline=steps)
    taken = set()
    for position in range(12):
        index = StreamIndex(position % 4, SampleKey(0, 0, position))
        meta = dataset[index]['data_samples'].metainfo
        assert meta['sample_key'] == index.key
        assert meta == dataset[index]['data_samples'].metainfo
        if position % 2:
            assert meta['img_id'] == 'abcd'[position % 4]
        else:
            taken.add(meta['img_id'])
    assert taken == {'b', 'd'}


@pytest.mark.parametrize('name', NAMES)
def test_source_of_a_config(name: str) -> None:
    own = config(name)
    classes = own.train.metainfo.classes
    assert own.model.num_classes == len(classes) == len(own.train.metainfo.palette)
    assert len(set(classes)) == len(classes)
    hosts = {'dota8': DOTADataset, 'dotav2': DOTAv2Dataset, 'diorr': DIORDataset}
    if name in hosts:
        meta = hosts[name].METAINFO
        colours = dict(zip(meta['classes'], map(list, meta['palette']), strict=True))
        assert dict(zip(classes, own.train.metainfo.palette, strict=True)) == colours
        assert tuple(classes) == meta['classes']
    assert own.train.filter_cfg.filter_empty_gt
    assert not own.train.get('test_mode', False)
    for split in {'val', 'test'} & set(own):
        assert own[split].metainfo == own.train.metainfo
        assert own[split].test_mode
