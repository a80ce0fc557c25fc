"""The samples of the stream: sources, keys, workers, and batches."""

from __future__ import annotations

import pickle
import random
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.dataset import BaseDataset
from mmengine.runner import Runner
from mmengine.runner.loops import _InfiniteDataloaderIterator

from s5_mm.datasets import MultiSourceDataset, branch_collate
from s5_mm.registry import DATASETS
from s5_mm.utils import randomness
from s5_mm.utils.randomness import SampleKey, StreamIndex

from .files import LABELLED, UNLABELLED, picture, sources, unlabelled, write


def test_dataset(tmp_path: Path) -> None:
    dataset = MultiSourceDataset({**sources(tmp_path), 'mix': 'unsup'})
    assert dataset.source_names == ('sup', 'unsup', 'mix')
    assert dataset.source_lengths == (4, 6, 6)
    assert len(dataset) == 16
    assert dataset.metainfo['classes'] == ('a', 'b', 'c')
    assert [dataset.locate(i) for i in (0, 3, 4, 9, 10, 15)] == [
        (0, 0), (0, 3), (1, 0), (1, 5), (2, 0), (2, 5),
    ]  # fmt: skip
    for index in (-1, 16):
        with pytest.raises(IndexError, match='expected 0..15'):
            dataset.locate(index)
    meta = dataset[5]['data_samples'].metainfo
    assert (meta['source'], meta['sample_key']) == ('unsup', SampleKey(0, 1, 1))
    assert meta['img_path'] == dataset[11]['data_samples'].img_path
    assert not dataset[5]['inputs'].equal(dataset[11]['inputs'])


def test_our_transforms_leave_the_global_generators_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = MultiSourceDataset(sources(tmp_path))
    indices = [
        StreamIndex(index, SampleKey(2, index // 4, index)) for index in range(10)
    ]
    before = random.getstate(), np.random.get_state()[1:3], torch.get_rng_state()
    unseeded = [dataset[index] for index in indices]
    after = random.getstate(), np.random.get_state()[1:3], torch.get_rng_state()
    assert before[0] == after[0]
    assert np.array_equal(before[1][0], after[1][0])
    assert before[1][1] == after[1][1]
    assert before[2].equal(after[2])
    monkeypatch.setattr(randomness, '_KEYED', set())
    for index, sample in zip(indices, unseeded, strict=True):
        with_seeds = dataset[index]
        assert with_seeds['inputs'].equal(sample['inputs'])
        assert with_seeds['data_samples'].metainfo == sample['data_samples'].metainfo


def test_transforms_of_the_host_obey_the_key(tmp_path: Path) -> None:
    cfg = sources(tmp_path)['sup']
    crop = {'type': 'mmseg.RandomCrop', 'crop_size': (16, 16)}
    flip = {'type': 'mmseg.RandomFlip', 'prob': 0.5}
    cfg['pipeline'] = [*cfg['pipeline'][:2], crop, flip, cfg['pipeline'][-1]]
    dataset = MultiSourceDataset({'sup': cfg})
    images = []
    for position in (1, 1, 2, 3, 4):
        np.random.random(position)
        images.append(dataset[StreamIndex(0, SampleKey(0, 0, position))]['inputs'])
    assert images[0].equal(images[1])
    assert not all(images[0].equal(image) for image in images[2:])


def test_datasets_of_the_host_are_sources_too() -> None:
    class Numbers(BaseDataset):
        def load_data_list(self) -> list[dict]:
            return [{'number': n} for n in range(3)]

    dataset = MultiSourceDataset({'a': Numbers(), 'b': Numbers()})
    assert dataset[4]['number'] == 1
    assert dataset[4]['source'] == 'b'


def test_concatenated_datasets_are_sources_too(tmp_path: Path) -> None:
    """As LoveDA, which the release trains on train and val of."""
    cfg = sources(tmp_path / 'a', 4)
    more = sources(tmp_path / 'b', 3)['sup']
    parts = {'type': 'ConcatDataset', 'datasets': [cfg['sup'], more]}
    # mmengine's takes children of BaseDataset alone, torch's anything.
    turned = {'type': 'ConcatDataset', 'datasets': [more, cfg['sup']]}
    outer = torch.utils.data.ConcatDataset(
        [DATASETS.build(dict(cfg['unsup'])), DATASETS.build(turned)]
    )
    dataset = MultiSourceDataset({'u': cfg['unsup'], 'both': parts, 'outer': outer})
    assert dataset.source_lengths == (6, 7, 13)
    assert dataset.metainfo['classes'] == ('a', 'b', 'c')
    single = [MultiSourceDataset({'x': c}) for c in (cfg['sup'], more, cfg['unsup'])]
    both = [(0, i) for i in range(4)] + [(1, i) for i in range(3)]
    outside = [(2, i) for i in range(6)] + [(1, i) for i in range(3)]
    outside += [(0, i) for i in range(4)]
    for start, places, source in ((6, both, 1), (13, outside, 2)):
        for local, (part, index) in enumerate(places):
            # The draws are those of the place in the source, not in the part.
            key = SampleKey(0, source, local)
            wanted = single[part][StreamIndex(index, key)]
            found = dataset[start + local]
            assert found['inputs'].equal(wanted['inputs'])
            sample = found['data_samples']
            assert sample.img_path == wanted['data_samples'].img_path
            assert sample.sample_key == key
            assert sample.source == dataset.source_names[source]
            if 'gt_sem_seg' in wanted['data_samples']:
                truth = wanted['data_samples'].gt_sem_seg.data
                assert sample.gt_sem_seg.data.equal(truth)
    for index in (-1, 26):
        with pytest.raises(IndexError, match='expected 0..25'):
            dataset[index]


def test_concatenated_parts_get_the_common_pipeline(tmp_path: Path) -> None:
    made = {**sources(tmp_path)['sup']}
    pipeline = made.pop('pipeline')
    own = {**made, 'pipeline': pipeline[:1]}
    parts = {'type': 'ConcatDataset', 'datasets': [made, own]}
    dataset = MultiSourceDataset({'s': parts}, pipeline=pipeline)
    assert dataset[3]['inputs'].shape == (3, 24, 24)
    assert set(dataset[4]) >= {'img', 'img_path'}


def bare(root: Path, **kwargs: object) -> dict:
    """Labelled images of a data set without a pipeline."""
    cfg = {**sources(root)['sup'], **kwargs}
    cfg.pop('pipeline')
    return cfg


def test_common_pipeline_is_that_of_sources_without(tmp_path: Path) -> None:
    plain = bare(tmp_path)
    own = {**plain, 'pipeline': LABELLED[:1]}
    spelt = {**plain, 'pipeline': LABELLED}
    config = {'a': plain, 'b': own, 'c': 'a'}
    dataset = MultiSourceDataset(config, pipeline=LABELLED)
    assert config == {'a': plain, 'b': own, 'c': 'a'}
    assert 'pipeline' not in plain
    wanted = MultiSourceDataset({'a': spelt, 'b': own, 'c': 'a'})
    for index in (0, 3, 9):
        found = dataset[index]
        assert found['inputs'].equal(wanted[index]['inputs'])
        truth = wanted[index]['data_samples'].gt_sem_seg.data
        assert found['data_samples'].gt_sem_seg.data.equal(truth)
    assert 'inputs' not in dataset[4]
    assert dataset[4]['img'].shape == (32, 40, 3)


def test_common_pipeline_reaches_nested_parts(tmp_path: Path) -> None:
    part, more = bare(tmp_path / 'a'), bare(tmp_path / 'b')
    own = {**more, 'pipeline': LABELLED[:1]}
    built = DATASETS.build({**more, 'pipeline': LABELLED[:2]})
    inner = {'type': 'ConcatDataset', 'datasets': [more, own]}
    outer = {'type': 'ConcatDataset', 'datasets': [part, built, inner]}
    dataset = MultiSourceDataset({'s': outer}, pipeline=LABELLED)
    assert dataset.source_lengths == (16,)
    for index in range(16):
        assert ('inputs' in dataset[index]) is (index // 4 % 2 == 0)
    assert 'gt_seg_map' in dataset[4]  # a data set that is built keeps its own
    assert 'gt_seg_map' not in dataset[12]


def test_samples_name_their_data_set(tmp_path: Path) -> None:
    cfg = sources(tmp_path)
    names = {'x': cfg['sup'], 'y': cfg['unsup'], 'z': 'x'}
    dataset = MultiSourceDataset(names)
    for index, name in ((0, 'x'), (3, 'x'), (4, 'y'), (9, 'y'), (10, 'z'), (13, 'z')):
        meta = dataset[index]['data_samples'].metainfo
        assert (meta['dataset_name'], meta['source']) == (name, name)


def test_metainfo_holds_that_of_every_source_with_classes(tmp_path: Path) -> None:
    cfg = sources(tmp_path)
    palette = [[0, 0, 0], [1, 1, 1]]
    other = bare(tmp_path, metainfo={'classes': ('u', 'v'), 'palette': palette})
    dataset = MultiSourceDataset(
        {'n': cfg['unsup'], 'x': cfg['sup'], 'y': other}, pipeline=LABELLED
    )
    infos = dataset.metainfo['datasets']
    assert list(infos) == ['x', 'y']
    assert infos['x']['classes'] == ('a', 'b', 'c')
    assert (infos['y']['classes'], infos['y']['palette']) == (('u', 'v'), palette)
    # The first one with classes stands for all.
    assert dataset.metainfo['classes'] == ('a', 'b', 'c')
    assert {**dataset.metainfo, 'datasets': 0} == {**infos['x'], 'datasets': 0}
    alone = MultiSourceDataset({'n': cfg['unsup']})
    assert alone.metainfo['datasets'] == {}
    assert not alone.metainfo.get('classes')


@pytest.mark.parametrize(
    ('kind', 'classes', 'ignored'),
    [('LoveDADataset', 7, {}), ('ISPRSDataset', 6, {}), ('ISPRSDataset', 5, {6: 255})],
)
def test_data_sets_of_mmseg_are_sources(
    tmp_path: Path, kind: str, classes: int, ignored: dict
) -> None:
    """Stored 0 is no-data, 1.. are the classes; fewer classes leave some out."""
    stored = np.random.default_rng(0).integers(0, 8 if classes == 7 else 7, (3, 32, 40))
    stored = stored.astype(np.uint8)
    for index, mask in enumerate(stored):
        write(tmp_path / 'img_dir' / f'{index}.png', picture(index))
        write(tmp_path / 'ann_dir' / f'{index}.png', mask)
    cfg = {
        'type': f'mmseg.{kind}',
        'data_root': str(tmp_path),
        'data_prefix': {'img_path': 'img_dir', 'seg_map_path': 'ann_dir'},
    }
    if ignored:
        names = DATASETS.get(f'mmseg.{kind}').METAINFO['classes'][:classes]
        cfg['metainfo'] = {'classes': names}
    pipeline = [*LABELLED[:2], LABELLED[-1]]
    dataset = MultiSourceDataset({'x': cfg, 'y': 'x'}, pipeline=pipeline)
    assert dataset.source_lengths == (3, 3)
    assert len(dataset.metainfo['datasets']['y']['classes']) == classes
    for index in range(6):
        packed = dataset[index]
        sample = packed['data_samples']
        assert sample.dataset_name == 'xxxyyy'[index]
        number = int(Path(sample.img_path).stem)
        assert packed['inputs'].equal(
            torch.from_numpy(picture(number)).permute(2, 0, 1)
        )
        wanted = [[ignored.get(v, v - 1 if v else 255) for v in row]
                  for row in stored[number].tolist()]  # fmt: skip
        assert sample.gt_sem_seg.data[0].tolist() == wanted


def test_dataset_errors(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='got no sources'):
        MultiSourceDataset({})
    message = (
        r"source 'mix' refers to 'un', expected the name of an earlier "
        r'source: \[\]'
    )
    with pytest.raises(ValueError, match=message):
        MultiSourceDataset({'mix': 'un', 'un': {}})
    with pytest.raises(ValueError, match="source 'a' is empty"):
        MultiSourceDataset({'a': []})


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


# -- pipelines that return nothing -----------------------------------------------------
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
