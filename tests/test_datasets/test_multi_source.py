"""The samples of the stream: sources, keys, workers, and batches."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.dataset import BaseDataset

from s5_mm.datasets import MultiSourceDataset
from s5_mm.registry import DATASETS
from s5_mm.utils import randomness
from s5_mm.utils.randomness import SampleKey, StreamIndex

from .files import LABELLED, picture, sources, write


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
