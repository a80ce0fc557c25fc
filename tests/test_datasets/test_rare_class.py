"""Rare-class sampling against its formula, and crops that keep the class."""

from __future__ import annotations

import math
import pickle
from collections import Counter
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from torch.utils.data import ConcatDataset, DataLoader

from s5_mm.datasets import (
    MultiSourceDataset,
    MultiSourceSampler,
    RandomGeometry,
    RareClassSampling,
    branch_collate,
)
from s5_mm.datasets.class_pixels import class_pixels
from s5_mm.datasets.samplers import multi_source_sampler
from s5_mm.registry import DATASETS
from s5_mm.utils.randomness import SampleKey, StreamIndex

from .files import LABELLED, META, UNLABELLED, picture, unlabelled, write

SIDE = 40
#: Pixels of classes 1 and 2 per image; the rest is class 0, the first row ignored.
PIXELS = [(0, 0), (400, 0), (400, 0), (90, 12), (0, 30), (0, 0)]


def labelled(root: Path, pixels: list[tuple[int, int]] = PIXELS) -> dict:
    """Write masks with given numbers of pixels and return the data set's config."""
    for index, (ones, twos) in enumerate(pixels):
        mask = np.zeros(SIDE * SIDE, np.uint8)
        mask[:SIDE] = 255
        mask[SIDE : SIDE + ones] = 1
        mask[SIDE * SIDE - twos :] = 2
        write(root / f'img_dir/{index}.png', picture(index, SIDE, SIDE))
        write(root / f'ann_dir/{index}.png', mask.reshape(SIDE, SIDE))
    return {
        'type': 's5_mm.SegDataset',
        'data_root': str(root),
        'metainfo': META,
        'pipeline': LABELLED,
    }


def rare(**kwargs: object) -> dict:
    return {'type': 's5_mm.RareClassSampling', 'min_pixels': 20, **kwargs}


@pytest.fixture
def dataset(tmp_path: Path) -> MultiSourceDataset:
    images = {
        'type': 's5_mm.UnlabelledDataset',
        'data_dir': str(unlabelled(tmp_path / 'u')),
        'pipeline': UNLABELLED,
    }
    return MultiSourceDataset({'sup': labelled(tmp_path), 'unsup': images})


def sampler(
    dataset: MultiSourceDataset, shares: tuple[int, ...] = (4, 2), **kwargs: object
) -> MultiSourceSampler:
    settings = {'seed': 3, 'sampling': {'sup': rare(temperature=0.5)}, **kwargs}
    return MultiSourceSampler(dataset, list(shares), **settings)


def test_counts(tmp_path: Path) -> None:
    opened = DATASETS.build(labelled(tmp_path))
    counts = class_pixels(opened)
    left = SIDE * SIDE - SIDE
    assert counts.tolist() == [[left - a - b, a, b] for a, b in PIXELS]
    both = {'type': 'ConcatDataset', 'datasets': [labelled(tmp_path)] * 2}
    twice = class_pixels(DATASETS.build(both))
    assert twice.tolist() == counts.tolist() * 2


@pytest.mark.parametrize('temperature', [0.1, 0.5, 5.0])
def test_frequencies_are_those_of_the_formula(
    dataset: MultiSourceDataset, temperature: float
) -> None:
    totals = [sum(SIDE * SIDE - SIDE - a - b for a, b in PIXELS), 890, 42]
    shares = [total / sum(totals) for total in totals]
    weights = [math.exp((1 - share) / temperature) for share in shares]
    by_class = [weight / sum(weights) for weight in weights]
    # Images with at least 20 pixels of the class.
    homes = [[0, 1, 2, 3, 4, 5], [1, 2, 3], [4]]
    by_image = [
        sum(p / len(home) for p, home in zip(by_class, homes, strict=True) if i in home)
        for i in range(6)
    ]
    drawn = sampler(dataset, (1, 0), sampling={'sup': rare(temperature=temperature)})
    np.testing.assert_allclose(drawn.sampling[0].probabilities, by_class, rtol=1e-12)
    count = 6000
    indices = list(islice(iter(drawn), count))
    for found, wanted in (
        (Counter(index.wanted[0] for index in indices), by_class),
        (Counter(map(int, indices)), by_image),
    ):
        for value, probability in enumerate(wanted):
            spread = math.sqrt(count * probability * (1 - probability)) + 1
            assert abs(found[value] - count * probability) < 4.5 * spread
    for index in indices:
        assert int(index) in homes[index.wanted[0]]
        assert index.wanted[1] == 10


def test_images_of_a_class_that_is_small_everywhere(tmp_path: Path) -> None:
    draw = RareClassSampling(temperature=1e-4, min_pixels=50)
    draw.open(DATASETS.build(labelled(tmp_path)))
    drawn = {draw.draw(SampleKey(0, 0, position)) for position in range(60)}
    assert drawn == {(3, 2), (4, 2)}


def test_classes_without_a_pixel_are_never_drawn(tmp_path: Path) -> None:
    draw = RareClassSampling(temperature=10)
    draw.open(DATASETS.build(labelled(tmp_path, [(0, 0), (300, 0)])))
    assert draw.probabilities[2] == 0
    assert draw.probabilities[:2].min() > 0.4
    assert {draw.draw(SampleKey(0, 0, p))[1] for p in range(50)} == {0, 1}


def test_other_sources_keep_their_order(dataset: MultiSourceDataset) -> None:
    plain = islice(iter(sampler(dataset, sampling=None)), 60)
    mixed = list(islice(iter(sampler(dataset)), 60))
    second = [(int(i), i.key, i.wanted) for i in mixed if i.key.source == 1]
    assert second == [(int(i), i.key, None) for i in plain if i.key.source == 1]


@pytest.mark.parametrize('world', [2, 4])
def test_any_number_of_processes_draws_the_same(
    dataset: MultiSourceDataset, world: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stream(rank: int, processes: int) -> list:
        monkeypatch.setattr(
            multi_source_sampler, 'get_dist_info', lambda: (rank, processes)
        )
        made = sampler(dataset, (8 // processes, 4 // processes))
        return [
            (i.key, int(i), i.wanted) for i in islice(iter(made), 12 // processes * 10)
        ]

    ranks = [stream(rank, world) for rank in range(world)]
    assert sorted(x for rank in ranks for x in rank) == sorted(stream(0, 1))


def test_resumed_stream_is_the_rest_of_the_stream(dataset: MultiSourceDataset) -> None:
    whole = [(int(i), i.key, i.wanted) for i in islice(iter(sampler(dataset)), 90)]
    rest = sampler(dataset)
    rest.skip(30)
    assert [(int(i), i.key, i.wanted) for i in islice(iter(rest), 60)] == whole[30:]


def test_sources_draw_for_themselves(tmp_path: Path) -> None:
    config = labelled(tmp_path)
    both = MultiSourceDataset({'a': config, 'b': dict(config)})
    made = sampler(both, (1, 1), sampling={'a': rare(), 'b': rare(temperature=0.5)})
    indices = list(islice(iter(made), 200))
    first, second = ([int(i) for i in indices[n::2]] for n in (0, 1))
    assert second != [index + 6 for index in first]
    draw = RareClassSampling(temperature=0.5, min_pixels=20)
    draw.open(both.datasets[1])
    wanted = [draw.draw(SampleKey(3, 1, position))[0] + 6 for position in range(100)]
    assert second == wanted


def test_wanted_class_reaches_the_crop(tmp_path: Path) -> None:
    """Twelve pixels of class 2 in a corner of image 3: few crops show eight."""
    dataset = MultiSourceDataset({'sup': labelled(tmp_path)})
    shown = []
    for wanted in (None, (2, 8)):
        samples = [
            dataset[StreamIndex(3, SampleKey(0, 0, position), wanted)]
            for position in range(60)
        ]
        masks = [sample['data_samples'].gt_sem_seg.data for sample in samples]
        shown.append(sum(int((mask == 2).sum()) >= 8 for mask in masks))
    assert shown[0] < 4
    assert shown[1] > 8


def test_followers_draw_the_same_images(tmp_path: Path) -> None:
    both = MultiSourceDataset({'sup': labelled(tmp_path), 'again': 'sup'})
    made = sampler(both, (3, 3), follows=[None, 0])
    drawn = list(islice(iter(made), 60))
    lead = [(int(i), i.wanted) for i in drawn if i.key.source == 0]
    assert lead == [(int(i) - 6, i.wanted) for i in drawn if i.key.source == 1]


def test_workers_see_the_same_crops(dataset: MultiSourceDataset) -> None:
    """The wanted class survives the queue to a worker."""
    crops = []
    for workers in (0, 2):
        loader = DataLoader(
            dataset,
            batch_size=6,
            sampler=sampler(dataset),
            num_workers=workers,
            collate_fn=branch_collate,
        )
        batches = list(islice(loader, 4))
        crops.append([batch['inputs']['sup'] for batch in batches])
    assert all(a.equal(b) for a, b in zip(*crops, strict=True))
    index = StreamIndex(4, SampleKey(1, 2, 3), (2, 10))
    copy = pickle.loads(pickle.dumps(index))
    assert (copy, copy.key, copy.wanted) == (4, index.key, (2, 10))


def mask_of_corner(pixels: int = 6) -> dict:
    """An image whose class 1 is a square in a corner."""
    mask = np.zeros((96, 96), np.uint8)
    mask[:pixels, :pixels] = 1
    return {
        'img': picture(0, 96, 96),
        'gt_seg_map': mask,
        'seg_fields': ['gt_seg_map'],
    }


def crop(position: int, **wanted: object) -> dict:
    results = {**mask_of_corner(), 'sample_key': SampleKey(0, 0, position), **wanted}
    return RandomGeometry(32, (1, 1)).transform(results)


def test_crop_keeps_the_class() -> None:
    """P(one crop shows 18 of 36 pixels) = p; ten draws show it with 1 - (1 - p)^10."""
    plain = [int((crop(p)['gt_seg_map'] == 1).sum()) for p in range(400)]
    kept = [
        int((crop(p, wanted_class=(1, 18))['gt_seg_map'] == 1).sum())
        for p in range(400)
    ]
    # Offsets 0..64 in both axes; (6 - y)(6 - x) pixels are left.
    fits = sum((6 - y) * (6 - x) >= 18 for y in range(6) for x in range(6)) / 65**2
    found = np.mean(np.array(plain) >= 18)
    assert found == pytest.approx(fits, abs=4 * math.sqrt(fits / 400))
    wanted = 1 - (1 - fits) ** 10
    assert np.mean(np.array(kept) >= 18) == pytest.approx(
        wanted, abs=4 * math.sqrt(wanted / 400)
    )
    # Where no crop has enough, that with most of the class: never worse than one draw.
    assert all(a >= b for a, b in zip(kept, plain, strict=True))
    assert sum(0 < pixels < 18 for pixels in kept) > 3 * sum(0 < p < 18 for p in plain)


def test_a_crop_that_shows_the_class_is_left_as_it_is() -> None:
    """Even if another draw had more of it."""
    for position in range(20):
        results = [
            {**mask_of_corner(70), 'sample_key': SampleKey(0, 0, position), **wanted}
            for wanted in ({}, {'wanted_class': (1, 300)})
        ]
        first, again = (RandomGeometry(32, (1, 1)).transform(one) for one in results)
        shown = int((first['gt_seg_map'] == 1).sum())
        assert np.array_equal(again['img'], first['img']) == (shown >= 300)
        assert (again['gt_seg_map'] == 1).sum() >= min(shown, 300)


def test_ten_draws_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    draw = RandomGeometry.draw
    monkeypatch.setattr(
        RandomGeometry, 'draw', lambda *args: calls.append(0) or draw(*args)
    )
    for pixels, number in ((37, 10), (0, 1)):
        calls.clear()
        crop(0, wanted_class=(1, pixels))
        assert len(calls) == number


def test_image_and_mask_of_a_kept_crop_fit() -> None:
    results = mask_of_corner()
    results['img'] = np.repeat(results['gt_seg_map'][..., None] * 200, 3, axis=2)
    results.update(sample_key=SampleKey(0, 0, 3), wanted_class=(1, 30))
    cut = RandomGeometry(32, (1, 1)).transform(results)
    assert np.array_equal(cut['img'][..., 0] > 0, cut['gt_seg_map'] == 1)


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        ({'temperature': 0}, 'RareClassSampling: temperature=0, expected above 0'),
        ({'min_pixels': 0}, 'RareClassSampling: min_pixels=0, expected at least 1'),
        ({'crop_share': 1.5}, 'RareClassSampling: crop_share=1.5, expected 0 to 1'),
        ({'jobs': 0}, 'RareClassSampling: jobs=0, expected at least 1'),
    ],
)
def test_refused_settings(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RareClassSampling(**settings)


def test_refused_sources(dataset: MultiSourceDataset, tmp_path: Path) -> None:
    for name in ('mix', 'again'):
        both = MultiSourceDataset({'sup': dataset.datasets[0], 'again': 'sup'})
        with pytest.raises(ValueError, match=r"\['sup', 'again'\] that follows no oth"):
            sampler(both, (3, 3), follows=[None, 0], sampling={name: rare()})
    with pytest.raises(ValueError, match="source 'unsup': UnlabelledDataset of .*no m"):
        sampler(dataset, sampling={'unsup': rare()})
    config = labelled(tmp_path / 'empty', [(0, 0)])
    write(tmp_path / 'empty/ann_dir/0.png', np.full((SIDE, SIDE), 255, np.uint8))
    with pytest.raises(ValueError, match=r"source 'x': .* 1 image\(s\) have no pixel"):
        sampler(MultiSourceDataset({'x': config}), (1,), sampling={'x': rare()})
    write(tmp_path / 'empty/ann_dir/0.png', np.full((SIDE, SIDE), 7, np.uint8))
    with pytest.raises(ValueError, match=r"source 'x': .*0.png: mask value\(s\) 7"):
        sampler(MultiSourceDataset({'x': config}), (1,), sampling={'x': rare()})
    more = {**labelled(tmp_path / 'more'), 'metainfo': {'classes': ('a', 'b', 'd')}}
    parts = ConcatDataset([dataset.datasets[0], DATASETS.build(more)])
    both = MultiSourceDataset({'x': parts})
    with pytest.raises(ValueError, match='expected the same classes in all parts'):
        sampler(both, (1,), sampling={'x': rare()})


def test_fewer_images_than_the_batch_needs(tmp_path: Path) -> None:
    """Five images in batches of eight: each as often as the others."""
    few = MultiSourceDataset({'sup': labelled(tmp_path, PIXELS[:5])})
    made = MultiSourceSampler(few, [8], seed=0)
    drawn = [int(index) for index in islice(iter(made), 40)]
    assert Counter(drawn) == dict.fromkeys(range(5), 8)
    for start in range(0, 40, 8):
        assert max(Counter(drawn[start : start + 8]).values()) <= 3
