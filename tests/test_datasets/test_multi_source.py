"""The stream of samples: shares, orders, ranks, workers, skipping, and batches."""

from __future__ import annotations

import pickle
import random
from collections import Counter
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.dataset import BaseDataset
from mmengine.runner import Runner
from mmengine.runner.loops import _InfiniteDataloaderIterator

from s5_mm.datasets import MultiSourceDataset, MultiSourceSampler, branch_collate
from s5_mm.datasets.samplers import multi_source_sampler
from s5_mm.registry import DATASETS
from s5_mm.utils import randomness
from s5_mm.utils.randomness import SampleKey, StreamIndex

from .files import LABELLED, UNLABELLED, picture, sources, unlabelled, write

LENGTHS = (7, 20, 20)


def fake(*lengths: int) -> SimpleNamespace:
    names = tuple(f's{i}' for i in range(len(lengths)))
    return SimpleNamespace(source_lengths=lengths, source_names=names)


def stream(
    count: int,
    shares: list[int],
    monkeypatch: pytest.MonkeyPatch | None = None,
    rank: int = 0,
    world: int = 1,
    skip: int = 0,
    lengths: tuple[int, ...] = LENGTHS,
    **kwargs: object,
) -> list[tuple[int, SampleKey]]:
    if monkeypatch:
        monkeypatch.setattr(
            multi_source_sampler, 'get_dist_info', lambda: (rank, world)
        )
    sampler = MultiSourceSampler(fake(*lengths), shares, **{'seed': 5, **kwargs})
    sampler.skip(skip)
    return [(int(index), index.key) for index in islice(iter(sampler), count)]


def test_shares_and_epochs() -> None:
    batch, steps = 8, 50
    drawn = stream(batch * steps, [3, 5, 0])
    for step in range(steps):
        step_keys = [key for _, key in drawn[step * batch : (step + 1) * batch]]
        assert [key.source for key in step_keys] == [0] * 3 + [1] * 5
    for source, start in ((0, 0), (1, 7)):
        mine = [(i - start, key) for i, key in drawn if key.source == source]
        assert [key.position for _, key in mine] == list(range(len(mine)))
        length, epochs = LENGTHS[source], set()
        for first in range(0, len(mine) - length, length):
            order = tuple(index for index, _ in mine[first : first + length])
            assert sorted(order) == list(range(length))  # a permutation each
            epochs.add(order)
        assert len(epochs) == (len(mine) - 1) // length  # and never the same one
    assert drawn != stream(batch * steps, [3, 5, 0], seed=6)


@pytest.mark.parametrize('world', [2, 4])
def test_any_number_of_ranks_draws_the_same_global_batches(
    world: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    shares, steps = [4, 8, 0], 12
    whole = stream(12 * steps, shares, monkeypatch)
    shares = [share // world for share in shares]
    batch = sum(shares)
    ranks = [
        stream(batch * steps, shares, monkeypatch, rank, world) for rank in range(world)
    ]
    for step in range(steps):
        together = [
            x for rank in ranks for x in rank[step * batch : (step + 1) * batch]
        ]
        assert (
            sorted(together, key=lambda x: x[1]) == whole[step * 12 : (step + 1) * 12]
        )


@pytest.mark.parametrize('skip', [0, 8, 8 * 10**6, 3])
def test_skip_is_equivalent_to_drawing(skip: int) -> None:
    skipped = stream(40, [3, 5, 0], skip=skip)
    if skip < 10**4:
        assert skipped == stream(skip + 40, [3, 5, 0])[skip:]
    steps, _ = divmod(skip, 8)
    positions = [key.position for _, key in skipped if key.source == 1]
    assert positions[0] == steps * 5
    assert len(set(positions)) == len(positions)


def test_every_iteration_starts_at_the_same_place() -> None:
    sampler = MultiSourceSampler(fake(*LENGTHS), [1, 1, 0], seed=0)
    first = list(islice(iter(sampler), 30))
    assert list(islice(iter(sampler), 30)) == first
    sampler.skip(10)
    assert list(islice(iter(sampler), 20)) == first[10:]
    sampler.skip(20)  # absolute, not relative
    assert list(islice(iter(sampler), 10)) == first[20:]
    sampler.set_epoch(3)
    assert list(islice(iter(sampler), 10)) == first[20:]
    assert len(sampler) == 2 * max(LENGTHS[:2])  # the longer one, seen once
    assert sampler.batch_size == 2


def test_share_larger_than_the_source() -> None:
    drawn = stream(64, [32, 0, 0], lengths=(3, 1, 1))
    assert Counter(index for index, _ in drawn).most_common()[-1][1] >= 21


def test_followers_see_the_same_images_with_other_draws() -> None:
    drawn = stream(400, [0, 4, 4], follows=[None, None, 1])
    leader = [(i - 7, key) for i, key in drawn if key.source == 1]
    follower = [(i - 27, key) for i, key in drawn if key.source == 2]
    assert [i for i, _ in leader] == [i for i, _ in follower]
    assert [k.position for _, k in leader] == [k.position for _, k in follower]
    free = stream(400, [0, 4, 4])
    assert [i - 27 for i, key in free if key.source == 2] != [i for i, _ in follower]


def test_seed_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multi_source_sampler, 'sync_random_seed', lambda: 99)
    sampler = MultiSourceSampler(fake(5), [1])
    assert sampler.seed == 99
    assert next(iter(sampler)).key.seed == 99


@pytest.mark.parametrize(
    ('shares', 'kwargs', 'message'),
    [
        ([1, 2], {}, r"shares=\[1, 2\] for the 3 sources \['s0', 's1', 's2'\]"),
        ([0, 0, 0], {}, 'not all 0'),
        ([1, -1, 1], {}, 'whole numbers of at least 0'),
        ([1, 0.5, 1], {}, 'whole numbers of at least 0'),
        ([1, 1, 1], {'follows': [1]}, 'expected one entry each'),
        ([1, 1, 1], {'follows': [None, None, 3]}, 'source 2 cannot follow 3'),
        ([1, 1, 1], {'follows': [None, 2, 1]}, 'another source that follows none'),
        ([1, 1, 1], {'follows': [None, 0, None]}, 'expected equal lengths and shares'),
        ([1, 1, 2], {'follows': [None, None, 1]}, 'expected equal lengths and shares'),
    ],
)
def test_sampler_errors(shares: list, kwargs: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MultiSourceSampler(fake(*LENGTHS), shares, seed=0, **kwargs)


def test_sampler_needs_sources() -> None:
    with pytest.raises(
        TypeError, match='got a list, expected a s5_mm.MultiSourceDataset'
    ):
        MultiSourceSampler([1, 2], [1])
    with pytest.raises(ValueError, match='num_samples=-1, expected at least 0'):
        MultiSourceSampler(fake(3), [1], seed=0).skip(-1)


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
    assert isinstance(again.datasets[0].paths.blob, np.memmap)


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
