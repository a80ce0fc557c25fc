"""Labelled data sets: layouts, lists, and each thing that can be missing."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from mmengine.registry import init_default_scope

from s5_mm.datasets import SegDataset
from s5_mm.datasets.verification import verify_dataset
from s5_mm.io.images.header import ImageError
from s5_mm.registry import DATASETS
from s5_mm.utils.randomness import SampleKey, StreamIndex
from s5_mm.visualization.palette import categorical_palette, cielab

from .files import LABELLED, META, ids, labelled, picture, write


def build(root: Path, **kwargs: object) -> SegDataset:
    cfg = {'type': 's5_mm.SegDataset', 'data_root': str(root), 'metainfo': META}
    return DATASETS.build({**cfg, **kwargs})


def names(dataset: SegDataset) -> list[tuple[str, str]]:
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    return [(Path(i['img_path']).name, Path(i['seg_map_path']).name) for i in infos]


def test_folders(tmp_path: Path) -> None:
    labelled(tmp_path)
    write(tmp_path / 'img_dir' / 'deep' / 'x.JPG', picture())
    write(tmp_path / 'ann_dir' / 'deep' / 'x.png', ids())
    dataset = build(tmp_path, metainfo={**META, 'palette': [[0, 0, 0]] * 3})
    assert names(dataset) == [(f'{i}.png', f'{i}.png') for i in range(4)] + [
        ('x.JPG', 'x.png')
    ]
    assert dataset.metainfo['classes'] == META['classes']
    assert dataset.metainfo['palette'] == [[0, 0, 0]] * 3
    assert dataset.get_data_info(0)['num_classes'] == 3


def test_lists(tmp_path: Path) -> None:
    labelled(tmp_path)
    (tmp_path / 'list.txt').write_text('3\n1\n')
    assert names(build(tmp_path, ann_file='list.txt')) == [
        ('3.png', '3.png'),
        ('1.png', '1.png'),
    ]
    (tmp_path / 'pairs.txt').write_text('img_dir/2.png ann_dir/0.png\n')
    assert names(build(tmp_path, ann_file='pairs.txt')) == [('2.png', '0.png')]


def test_sample_for_training_and_for_mmseg(tmp_path: Path) -> None:
    init_default_scope('mmseg')
    labelled(tmp_path)
    dataset = build(tmp_path, pipeline=LABELLED)
    index = StreamIndex(1, SampleKey(0, 0, 9))
    first, again = dataset[index], dataset[index]
    assert first['inputs'].equal(again['inputs'])
    assert first['data_samples'].sample_key == index.key
    np.random.seed(0)  # without a key the draws are the host's, new ones each time
    assert not dataset[1]['inputs'].equal(dataset[1]['inputs'])
    pipeline = [*LABELLED[:2], {'type': 'PackSegInputs'}]
    dataset = build(tmp_path, pipeline=pipeline, test_mode=True, reduce_zero_label=True)
    sample = dataset[1]['data_samples']
    assert sample.reduce_zero_label is True
    expected = np.where(ids(1) == 0, 255, ids(1).astype(int) - 1)
    np.testing.assert_array_equal(sample.gt_sem_seg.data[0].numpy(), expected)


def test_ignore_index_becomes_255(tmp_path: Path) -> None:
    labelled(tmp_path)
    dataset = build(
        tmp_path,
        metainfo={'classes': ('a', 'b')},
        ignore_index=2,
        pipeline=LABELLED[:2],
    )
    expected = np.where(ids(0) == 2, 255, ids(0))
    np.testing.assert_array_equal(dataset[0]['gt_seg_map'], expected)


def test_without_masks(tmp_path: Path) -> None:
    """A test split whose labels are not published."""
    init_default_scope('mmseg')
    labelled(tmp_path)
    shutil.rmtree(tmp_path / 'ann_dir')
    prefix = {'img_path': 'img_dir', 'seg_map_path': None}
    pipeline = [LABELLED[0], {'type': 'PackSegInputs'}]
    (tmp_path / 'names.txt').write_text('3\n1\n')
    (tmp_path / 'pairs.txt').write_text('img_dir/3.png nowhere/3.png\n')
    for ann_file, expected in (('', '0123'), ('names.txt', '31'), ('pairs.txt', '3')):
        dataset = build(
            tmp_path, data_prefix=prefix, ann_file=ann_file, pipeline=pipeline
        )
        infos = [dataset.get_data_info(i) for i in range(len(dataset))]
        assert [Path(info['img_path']).stem for info in infos] == list(expected)
        assert not any('seg_map_path' in info for info in infos)
        assert 'gt_sem_seg' not in dataset[0]['data_samples']
        verify_dataset(dataset, 'full')
    assert prefix == {'img_path': 'img_dir', 'seg_map_path': None}
    assert len(build(tmp_path, data_prefix=prefix, verify='headers')) == 4
    cfg = {'type': 's5_mm.SegDataset', 'metainfo': META}  # no data_root
    prefix['img_path'] = str(tmp_path / 'img_dir')
    assert len(DATASETS.build({**cfg, 'data_prefix': prefix})) == 4
    (tmp_path / 'img_dir' / '3.png').unlink()
    with pytest.raises(FileNotFoundError, match=r'no file for 1 image\(s\)'):
        build(tmp_path, data_prefix=prefix, ann_file='names.txt')


def test_a_pipeline_that_asks_for_masks_that_are_not_there(tmp_path: Path) -> None:
    labelled(tmp_path)
    prefix = {'img_path': 'img_dir', 'seg_map_path': None}
    dataset = build(tmp_path, data_prefix=prefix, pipeline=LABELLED)
    message = r'0\.png: the data set has no masks .*has s5_mm\.LoadMask; leave it out'
    with pytest.raises(ValueError, match=message) as caught:
        dataset[0]
    assert not isinstance(caught.value, ImageError)
    for prefix in ({'img_path': 'img_dir'}, {'img_path': None, 'seg_map_path': 'a'}):
        with pytest.raises(
            ValueError, match='expected img_path and seg_map_path; seg_'
        ):
            build(tmp_path, data_prefix=prefix)


def test_missing_things(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match='img_dir: expected a folder.*missing'):
        build(tmp_path)
    (tmp_path / 'img_dir').mkdir()
    with pytest.raises(ValueError, match='img_dir: no image in this folder'):
        build(tmp_path)
    labelled(tmp_path, 9)
    for index in range(7):
        (tmp_path / 'ann_dir' / f'{index}.png').unlink()
    message = (
        r'ann_dir: no mask \*\.png for 7 image\(s\) of .*img_dir: '
        r'0\.png, 1\.png, .*4\.png, \.\.\.'
    )
    with pytest.raises(FileNotFoundError, match=message):
        build(tmp_path)
    for index in range(8):
        (tmp_path / 'img_dir' / f'{index}.png').unlink()
    message = r'no image .* for 1 mask\(s\) of .*ann_dir: 7\.png$'
    with pytest.raises(FileNotFoundError, match=message):
        build(tmp_path)
    (tmp_path / 'list.txt').write_text('8\n7\nnone\n')
    message = (
        r'list\.txt: no file for 2 image\(s\) of the list: .*7\.jpg, '
        r'.*none'
    )
    with pytest.raises(FileNotFoundError, match=message):
        build(tmp_path, ann_file='list.txt')
    (tmp_path / 'list.txt').write_text('img_dir/8.png ann_dir/1.png\n')
    message = r'no file for 1 mask\(s\) of the list: .*ann_dir/1\.png'
    with pytest.raises(FileNotFoundError, match=message):
        build(tmp_path, ann_file='list.txt')
    with pytest.raises(FileNotFoundError, match='nowhere.txt: the list file does not'):
        build(tmp_path, ann_file='nowhere.txt')
    write(tmp_path / 'img_dir' / '8.jpg', picture())
    message = r'8\.(jpg|png) and 8\.(jpg|png) are two files of one name'
    with pytest.raises(ValueError, match=message):
        build(tmp_path)


def test_bad_arguments(tmp_path: Path) -> None:
    labelled(tmp_path)
    with pytest.raises(ValueError, match="metainfo has no 'classes', expected"):
        build(tmp_path, metainfo=None)
    with pytest.raises(ValueError, match="verify='all', allowed are 'none', 'headers'"):
        build(tmp_path, verify='all')


def test_bad_files_at_run_time_and_at_the_start(tmp_path: Path) -> None:
    labelled(tmp_path)
    write(tmp_path / 'ann_dir' / '0.png', ids(0, 32, 41))
    write(tmp_path / 'ann_dir' / '1.png', ids(1) * 3)
    (tmp_path / 'img_dir' / '2.png').write_bytes(b'')
    dataset = build(tmp_path, pipeline=LABELLED)
    for index, message in (
        (0, r'0\.png: mask of 41x32 px, its image .*0\.png has 40x32 px'),
        (
            1,
            r'1\.png: mask value\(s\) 3 \(\d+ px\), 6 \(\d+ px\) outside the 3 classes',
        ),
        (2, r'2\.png: the file is empty'),
    ):
        with pytest.raises(ImageError, match=message):
            dataset[index]
    message = (
        r'2 bad file\(s\) in 4 samples:\n.*0\.png: mask of 41x32 '
        r'px.*\n.*2\.png: the file is empty'
    )
    with pytest.raises(ValueError, match=message):
        build(tmp_path, verify='headers')
    with pytest.raises(ValueError, match=r'3 bad file\(s\) in 4 samples'):
        build(tmp_path, verify='full')
    labelled(tmp_path)
    assert len(build(tmp_path, verify='headers')) == 4
    assert len(build(tmp_path, verify='full')) == 4


def test_names_with_spaces_and_dots_are_not_cut(tmp_path: Path) -> None:
    """Only two names of image files are a pair; a tab separates such with spaces."""
    for stem in ('my tile', 'tile v1.2', 'a.png b'):
        write(tmp_path / 'img_dir' / f'{stem}.jpg', picture())
        write(tmp_path / 'ann_dir' / f'{stem}.png', ids())
    lines = [
        'my tile',
        'tile v1.2',
        'a.png b',
        'img_dir/my tile.jpg\tann_dir/my tile.png',
    ]
    (tmp_path / 'list.txt').write_text('\n'.join(lines))
    assert names(build(tmp_path, ann_file='list.txt')) == [
        ('my tile.jpg', 'my tile.png'),
        ('tile v1.2.jpg', 'tile v1.2.png'),
        ('a.png b.jpg', 'a.png b.png'),
        ('my tile.jpg', 'my tile.png'),
    ]


def test_colours_without_a_palette_can_be_told_apart(tmp_path: Path) -> None:
    labelled(tmp_path)
    for count in (2, 5, 30):
        classes = tuple(f'class {k}' for k in range(count))
        dataset = build(tmp_path, metainfo={'classes': classes})
        assert dataset.metainfo['palette'] == categorical_palette(count)
    colours = cielab(np.array(build(tmp_path).metainfo['palette']))
    gaps = np.linalg.norm(colours[:, None] - colours[None], axis=-1)
    assert gaps[~np.eye(3, dtype=bool)].min() > 16


def test_label_map(tmp_path: Path) -> None:
    """Binary masks of 0 and 255, and values that are no ids."""
    write(tmp_path / 'img_dir' / '0.png', picture())
    stored = np.where(ids() == 0, 0, np.where(ids() == 1, 255, 7)).astype(np.uint8)
    write(tmp_path / 'ann_dir' / '0.png', stored)
    dataset = build(tmp_path, label_map={255: 1, 7: 2}, pipeline=LABELLED[:2])
    np.testing.assert_array_equal(dataset[0]['gt_seg_map'], ids())
    verify_dataset(dataset, 'full')
    assert dataset.metainfo['label_map'] == {255: 1, 7: 2}
    ignored = build(tmp_path, label_map={255: 1, 7: 255}, pipeline=LABELLED[:2])
    expected = np.where(ids() == 2, 255, ids())
    np.testing.assert_array_equal(ignored[0]['gt_seg_map'], expected)
    for wrong in ({255: 3}, {256: 1}, {0: -1}):
        with pytest.raises(
            ValueError, match=r'label_map has .*; allowed are stored val'
        ):
            build(tmp_path, label_map=wrong)
    assert len(build(tmp_path, label_map={7: 2}, lazy_init=True).data_list) == 0
