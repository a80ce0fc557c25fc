"""Batches of several sources: workers, collation, samples that are nothing."""

from __future__ import annotations

import pickle
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.runner import Runner
from mmengine.runner.loops import _InfiniteDataloaderIterator

from s5_mm.datasets import MultiSourceDataset, branch_collate
from s5_mm.utils.randomness import SampleKey, StreamIndex

from .files import UNLABELLED, sources, unlabelled


def loader(
    root: Path, workers: int, persistent: bool = False
) -> torch.utils.data.DataLoader:
    return Runner.build_dataloader(
        {
            'batch_size': 5,
            'num_workers': workers,
            'persistent_workers': persistent,
            'dataset': {'type': 's5_mm.MultiSourceDataset', 'sources': sources(root)},
            'sampler': {'type': 's5_mm.MultiSourceSampler', 'shares': [2, 3]},
            'collate_fn': {'type': 's5_mm.branch_collate'},
        },
        seed=11,
    )


def flat(batch: dict) -> list:
    """A batch as values that compare."""
    samples = [s for source in batch['data_samples'].values() for s in source]
    labels = [s.gt_sem_seg.data for s in samples if 'gt_sem_seg' in s]
    tensors = [*batch['inputs'].values(), *labels]
    meta = [sorted(s.metainfo.items()) for s in samples]
    return [t.numpy().tobytes() for t in tensors] + meta


def test_any_number_of_workers_makes_the_same_batches(tmp_path: Path) -> None:
    def batches(workers: int, skip: int = 0) -> list:
        built = loader(tmp_path, workers)
        (tmp_path / 'u' / '3.png').write_bytes(b'')  # replacements too
        iterator = _InfiniteDataloaderIterator(built)
        iterator.skip_iter(skip)
        return [flat(next(iterator)) for _ in range(8 - skip)]

    expected = batches(0)
    assert any('replaced' in str(batch) for batch in expected)
    for workers, skip in ((1, 0), (2, 0), (0, 3), (2, 5)):
        assert batches(workers, skip) == expected[skip:]


def test_persistent_workers_start_again_at_the_same_place(tmp_path: Path) -> None:
    built = loader(tmp_path, 1, persistent=True)
    first = [flat(batch) for batch in islice(built, 3)]
    assert [flat(batch) for batch in islice(built, 3)] == first


def test_batch(tmp_path: Path) -> None:
    batch = next(iter(loader(tmp_path, 0)))
    assert list(batch['inputs']) == list(batch['data_samples']) == ['sup', 'unsup']
    assert batch['inputs']['sup'].shape == (2, 3, 24, 24)
    assert batch['inputs']['unsup'].shape == (3, 3, 24, 24)
    assert batch['inputs']['sup'].dtype == torch.uint8
    sample = batch['data_samples']['sup'][1]
    assert sample.gt_sem_seg.data.shape == (1, 24, 24)
    assert sample.gt_sem_seg.data.dtype == torch.uint8
    assert set(sample.metainfo) >= {
        'source', 'sample_key', 'img_path', 'img_shape', 'ori_shape', 'valid_rect',
    }  # fmt: skip
    assert sample.sample_key == SampleKey(11, 0, 1)


def test_collate_errors(tmp_path: Path) -> None:
    dataset = MultiSourceDataset(sources(tmp_path))
    sample, other = dataset[0], dataset[1]
    other['inputs'] = other['inputs'][:, 1:]
    message = (
        r"source 'sup': images of different shapes \[\(3, 23, 24\), "
        r'\(3, 24, 24\)\]'
    )
    with pytest.raises(ValueError, match=message):
        branch_collate([sample, other])
    sample['data_samples'].set_metainfo({'source': None})
    with pytest.raises(ValueError, match='0.png: the sample names no source'):
        branch_collate([sample])


def test_dataset_crosses_to_spawned_workers(tmp_path: Path) -> None:
    unlabelled(tmp_path)
    cfg = {
        'type': 's5_mm.UnlabelledDataset',
        'data_dir': str(tmp_path),
        'pipeline': UNLABELLED,
    }
    dataset = MultiSourceDataset({'u': cfg})
    again = pickle.loads(pickle.dumps(dataset))
    assert again[3]['inputs'].equal(dataset[3]['inputs'])
    shared = again.datasets[0].paths._shared  # mapped from the file that pickling wrote
    assert shared.file == dataset.datasets[0].paths._shared.file
    assert Path(shared.file).is_file()


class _Sieve:
    """A data set of mmengine's kind whose pipeline lets some images through."""

    def __init__(self, passes, test_mode=False):
        self.passes, self.test_mode, self.seen = passes, test_mode, []

    def __len__(self):
        return 20

    def get_data_info(self, index):
        return dict(img_path=f'{index}.png', index=index)

    def pipeline(self, results):
        self.seen.append(results['index'])
        draw = np.random.random()
        return dict(results, draw=draw) if self.passes(results['index']) else None


def test_a_sample_that_is_nothing_is_drawn_anew_from_its_key():
    def key(position):
        return StreamIndex(3, SampleKey(0, 0, position))

    rare = MultiSourceDataset(dict(s=_Sieve(lambda index: index % 5 == 0)))
    found = [rare[key(position)] for position in range(30)]
    assert len({sample['index'] for sample in found}) > 1
    assert all(sample['index'] % 5 == 0 for sample in found)
    assert [sample['sample_key'].position for sample in found] == list(range(30))
    for position in reversed(range(30)):  # whatever was drawn before
        assert rare[key(position)] == found[position]


def test_a_source_that_gives_nothing_is_named():
    source = _Sieve(lambda index: False)
    with pytest.raises(ValueError, match="source 's': its pipeline returned no"):
        MultiSourceDataset(dict(s=source))[3]
    assert len(source.seen) == 50
    test = _Sieve(lambda index: False, test_mode=True)  # another image is no answer
    with pytest.raises(ValueError, match=r'no sample for 3\.png'):
        MultiSourceDataset(dict(s=test))[3]
    assert test.seen == [3]
