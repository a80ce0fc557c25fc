"""Copy-paste of labelled classes: what is pasted, and how often."""

import math
from collections import Counter

import numpy as np
import pytest
import torch

from s5_mm.models.mixing import LabelledCopyPaste

from ...support.distributed import run_ranks
from .batches import H, K, W, batch, keys


def _stripes(*rows):
    """Labels of a few images: a class for each row, 255 elsewhere."""
    labels = torch.full((len(rows), H, W), 255)
    for image, classes in enumerate(rows):
        for row, label in enumerate(classes):
            labels[image, row] = label
    return labels


def _pasted(got, images):
    """Which labelled image and which pixels were pasted, by image."""
    found = []
    for view in got:
        sources = [(view == image).all(0) for image in images]
        (row, region) = max(enumerate(sources), key=lambda pair: pair[1].sum())
        found.append((row, region) if region.any() else None)
    return found


def test_all_pixels_of_one_class_with_their_truth():
    count = 200
    strong, pseudo, images, labels = batch(count)
    mixing = LabelledCopyPaste(K, 0.5)
    mixing.observe_labels(labels)
    got, mixed = mixing(strong, pseudo, images, labels, keys(count))
    applied = 0
    for i, found in enumerate(_pasted(got, images)):
        rest = torch.ones(H, W, dtype=torch.bool)
        if found is not None:
            source, region = found
            (label,) = labels[source][region].unique().tolist()
            assert label != 255
            assert torch.equal(region, labels[source] == label)
            assert (mixed.labels[i][region] == label).all()
            assert (mixed.confidence[i][region] == 1).all()
            assert (mixed.weight[i][region] == 1).all()
            assert mixed.valid[i][region].all()
            certain = mixed.probabilities[i][:, region]
            assert (certain[label] == 1).all()
            assert (certain.sum(0) == 1).all()
            rest, applied = ~region, applied + 1
        assert torch.equal(got[i, :, rest], strong[i, :, rest])
        for part, own in zip(mixed, pseudo, strict=True):
            assert part.dtype == own.dtype
            assert torch.equal(part[i][..., rest], own[i][..., rest])
    assert abs(applied - 100) < 4 * math.sqrt(50)


def test_nothing_is_pasted_at_probability_zero():
    strong, pseudo, images, labels = batch()
    got, mixed = LabelledCopyPaste(K, 0.0)(strong, pseudo, images, labels, keys(4))
    assert torch.equal(got, strong)
    assert all(torch.equal(a, b) for a, b in zip(mixed, pseudo, strict=True))


def test_without_soft_targets_there_are_none_afterwards():
    strong, pseudo, images, labels = batch()
    mixing = LabelledCopyPaste(K, 0.5)
    mixing.observe_labels(labels)
    hard = pseudo._replace(probabilities=None)
    _, mixed = mixing(strong, hard, images, labels, keys(4))
    assert mixed.probabilities is None


@pytest.mark.parametrize('classes', [None, (1, 3), (2,)])
def test_rare_classes_come_first(classes):
    """P(c) ~ 1 / f_c over the classes of the batch, images with it alike."""
    labels = _stripes((0, 0, 0, 0, 1), (0, 0, 1, 3), (1, 2, 1))
    pixels = {0: 6 * W, 1: 4 * W, 2: W, 3: W}
    inverse = {
        label: 1 / number
        for label, number in pixels.items()
        if classes is None or label in classes
    }
    wanted = {label: value / sum(inverse.values()) for label, value in inverse.items()}
    homes = {0: [0, 1], 1: [0, 1, 2], 2: [2], 3: [1]}
    mixing = LabelledCopyPaste(K, 0.5, classes)
    mixing.observe_labels(labels)
    drawn, images = Counter(), Counter()
    count = 6000
    values = torch.from_numpy(mixing.draw(keys(count), 3))
    chosen = mixing.choose(labels, values[:, 1 : 1 + K], values[:, 1 + K :])
    for label, source in zip(*(part.tolist() for part in chosen), strict=True):
        assert source in homes[label]
        drawn[label] += 1
        images[label, source] += 1
    assert set(drawn) == set(wanted)
    for label, probability in wanted.items():
        spread = math.sqrt(count * probability * (1 - probability)) + 1
        assert abs(drawn[label] - count * probability) < 4.5 * spread
        for source in homes[label]:
            part = drawn[label] / len(homes[label])
            assert abs(images[label, source] - part) < 4.5 * math.sqrt(part) + 1


def test_frequencies_are_those_of_all_iterations():
    """A class that was rare before stays rare where a batch is full of it."""
    mixing = LabelledCopyPaste(K, 0.5)
    mixing.observe_labels(_stripes((0, 0, 0, 0, 0, 0)))
    mixing.observe_labels(_stripes((0, 1, 1)))
    assert mixing.pixels.tolist() == [7 * W, 2 * W, 0, 0, 0]
    labels = _stripes((0, 1, 1, 1, 1, 1))
    values = torch.from_numpy(mixing.draw(keys(3000), 1))
    label, _ = mixing.choose(labels, values[:, 1 : 1 + K], values[:, 1 + K :])
    share = float((label == 1).double().mean())
    assert share == pytest.approx(7 / 9, abs=4 * math.sqrt(7 / 9 * 2 / 9 / 3000))


def test_batch_without_the_classes_pastes_nothing():
    strong, pseudo, images, _ = batch()
    for labels in (_stripes((0,), (1,), ()), _stripes((), (), ())):
        mixing = LabelledCopyPaste(K, 0.5, [2, 4])
        mixing.observe_labels(labels)
        for position in range(10):
            got, mixed = mixing(strong, pseudo, images, labels, keys(4, position))
            assert torch.equal(got, strong)
            assert torch.equal(mixed.labels, pseudo.labels)


def test_draws_depend_on_the_sample_alone():
    mixing = LabelledCopyPaste(K, 0.3)
    whole = mixing.draw(keys(9), 3)
    for i, key in enumerate(keys(9)):
        np.testing.assert_array_equal(mixing.draw([key], 3)[0], whole[i])


def test_counts_are_in_the_checkpoint():
    mixing = LabelledCopyPaste(K)
    assert list(mixing.state_dict()) == ['pixels']
    *_, labels = batch()
    mixing.observe_labels(labels)
    want = np.bincount(labels.flatten().numpy(), minlength=256)[:K]
    assert mixing.pixels.tolist() == want.tolist()


def _observed(rank, world):
    mixing = LabelledCopyPaste(K)
    labels = batch(labelled=4)[-1]
    mixing.observe_labels(labels[rank * 4 // world : (rank + 1) * 4 // world])
    return mixing.pixels


def test_two_processes_count_together(tmp_path):
    alone = _observed(0, 1)
    for rank in run_ranks(_observed, 2, tmp_path):
        assert torch.equal(rank, alone)


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (dict(prob=0.6), 'LabelledCopyPaste.prob=0.6, expected 0 to 0.5'),
        (dict(classes=[1, 5]), r'classes=\[1, 5\] of LabelledCopyPaste, .* in 0\.\.4'),
        (dict(classes=[-1]), r'classes=\[-1\] of LabelledCopyPaste, expected ids in'),
        (dict(classes=2), 'classes=2 of LabelledCopyPaste, expected ids in 0..4'),
        (dict(classes=[True]), r'classes=\[True\] of LabelledCopyPaste, expected ids'),
        (dict(prob='0.1'), "LabelledCopyPaste.prob='0.1', expected"),
        (dict(classes=[]), r'classes=\[\] of LabelledCopyPaste, expected ids in'),
        (dict(classes=['ship']), r"classes=\['ship'\] of LabelledCopyPaste, expected"),
    ],
)
def test_refused_settings(settings, message):
    with pytest.raises(ValueError, match=f'semi_train_cfg.mixing: {message}'):
        LabelledCopyPaste(K, **settings)


def test_crops_of_different_sizes_are_refused():
    strong, pseudo, images, labels = batch()
    with pytest.raises(ValueError, match='labelled crops of 8x5 px and unlabelled one'):
        LabelledCopyPaste(K)(strong, pseudo, images[..., :5, :], labels, keys(4))
