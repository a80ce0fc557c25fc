"""Unlabelled images: every source, and what happens to broken ones."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from s5_mm.datasets import UnlabelledDataset
from s5_mm.io.images.header import ImageError
from s5_mm.registry import DATASETS
from s5_mm.utils.randomness import SampleKey, StreamIndex

from .files import UNLABELLED, unlabelled


def test_every_source_gives_the_same_images(tmp_path: Path) -> None:
    unlabelled(tmp_path / 'u')
    names = [f'u/{index}.png' for index in range(6)]
    (tmp_path / 'list.txt').write_text('\n'.join(f'{n},0.1' for n in names))
    pq.write_table(pa.table({'file': names}), tmp_path / 'm.parquet')
    options = (
        {'data_dir': 'u'},
        {'ann_file': 'list.txt', 'separator': ','},
        {'manifest': 'm.parquet', 'column': 'file'},
    )
    for option in options:
        dataset = DATASETS.build(
            {
                'type': 's5_mm.UnlabelledDataset',
                'data_root': str(tmp_path),
                'pipeline': UNLABELLED,
                'metainfo': {'name': 'x'},
                **option,
            }
        )
        assert len(dataset) == 6
        assert dataset.metainfo == {'name': 'x'}
        info = dataset.get_data_info(2)
        assert info == {'img_path': str(tmp_path / 'u/2.png'), 'sample_idx': 2}
        sample = dataset[2]
        assert sample['inputs'].shape == (3, 24, 24)
        assert 'replaced' not in sample['data_samples']
        assert 'gt_sem_seg' not in sample['data_samples']


def broken(root: Path, *names: str) -> UnlabelledDataset:
    unlabelled(root)
    for name in names:
        (root / name).write_bytes(b'')
    return UnlabelledDataset(data_dir=str(root), pipeline=UNLABELLED)


def test_broken_image_is_replaced_as_a_function_of_the_sample(tmp_path: Path) -> None:
    dataset = broken(tmp_path, '0.png', '1.png', '2.png')
    stands_in = {}
    for position in range(40):
        index = StreamIndex(1, SampleKey(7, 1, position))
        first, again = dataset[index], dataset[index]
        meta = first['data_samples'].metainfo
        assert torch.equal(first['inputs'], again['inputs'])
        assert meta == again['data_samples'].metainfo
        assert meta['replaced'][0] == (
            str(tmp_path / '1.png'),
            'the file is empty (0 bytes), expected an image',
        )
        assert meta['img_path'] not in [path for path, _ in meta['replaced']]
        assert meta['sample_key'] == index.key
        stands_in.setdefault(meta['img_path'], []).append(len(meta['replaced']))
    assert len(stands_in) == 3  # each good image gets its turn
    assert max(max(tries) for tries in stands_in.values()) > 1  # some took several


def test_all_broken_is_an_error(tmp_path: Path) -> None:
    dataset = broken(tmp_path, *(f'{index}.png' for index in range(6)))
    message = (
        r'\.png: the file is empty.*last of 17 broken images in a row '
        r'\(max_replacements=16\)'
    )
    with pytest.raises(ImageError, match=message):
        dataset[0]


def test_only_broken_files_are_replaced(tmp_path: Path) -> None:
    """A mistake in the pipeline must not look like a broken image."""
    unlabelled(tmp_path)

    def mistake(results: dict) -> dict:
        raise ValueError('a mistake')

    dataset = UnlabelledDataset(data_dir=str(tmp_path), pipeline=[mistake])
    with pytest.raises(ValueError, match='a mistake'):
        dataset[0]


def test_errors(tmp_path: Path) -> None:
    message = (
        r"got none of \['data_dir', 'ann_file', 'manifest', 'shards'\], expected "
        r'exactly one'
    )
    with pytest.raises(ValueError, match=message):
        UnlabelledDataset()
    with pytest.raises(ValueError, match=r"got \['data_dir', 'manifest'\]"):
        UnlabelledDataset(data_dir='a', manifest='b')
    with pytest.raises(FileNotFoundError, match='none: expected a folder'):
        UnlabelledDataset(data_root=str(tmp_path), data_dir='none')
    (tmp_path / 'list.txt').write_text('\n'.join(f'no/{i}.png' for i in range(99)))
    message = (
        r'list.txt: none of \d+ images.*first is .*no/0.png; check '
        r'data_root and ann_file'
    )
    with pytest.raises(FileNotFoundError, match=message):
        UnlabelledDataset(data_root=str(tmp_path), ann_file='list.txt')
