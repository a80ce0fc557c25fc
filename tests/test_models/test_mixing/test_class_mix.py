"""ClassMix against pixel-by-pixel mixing."""

from itertools import combinations
from math import ceil

import numpy as np
import pytest
import torch

from s5_mm.models.mixing import ClassMix
from s5_mm.models.pseudo_labels import PseudoLabels
from s5_mm.utils import View, sample_generator

from .batches import H, K, W, batch, keys


def _expected(strong, pseudo, sample_keys, prob):
    """The paper's M: 1 on pixels of half of the partner's classes."""
    images, parts = strong.clone(), [part.clone() for part in pseudo]
    for i, key in enumerate(sample_keys):
        generator = sample_generator(key, View.MIXING)
        applied, order = generator.random() < prob, generator.permutation(K)
        partner = i ^ 1
        labels, valid = pseudo.labels[partner], pseudo.valid[partner]
        present = sorted(set(labels[valid].tolist()), key=lambda c: order[c])
        chosen = present[: ceil(len(present) / 2)]
        for y in range(H):
            for x in range(W):
                if applied and valid[y, x] and labels[y, x] in chosen:
                    images[i, :, y, x] = strong[partner, :, y, x]
                    for part, source in zip(parts, pseudo, strict=True):
                        part[i, ..., y, x] = source[partner, ..., y, x]
    return images, PseudoLabels(*parts)


@pytest.mark.parametrize('prob', [0.0, 0.6, 1.0])
def test_all_maps_are_mixed_alike(prob):
    changed = 0
    for seed in range(20):
        strong, pseudo, images, labels = batch(seed=seed)
        sample_keys = keys(4, 10 * seed)
        before = [part.clone() for part in (strong, *pseudo)]
        got = ClassMix(K, prob)(strong, pseudo, images, labels, sample_keys)
        want = _expected(strong, pseudo, sample_keys, prob)
        assert torch.equal(got[0], want[0])
        for name in PseudoLabels._fields:
            part = getattr(got[1], name)
            assert part.dtype == getattr(pseudo, name).dtype
            assert torch.equal(part, getattr(want[1], name)), name
        for part, kept in zip((strong, *pseudo), before, strict=True):
            assert torch.equal(part, kept)  # inputs are left as they are
        changed += int((got[0] != strong).any(dim=3).any(2).any(1).sum())
    assert changed == {0.0: 0, 1.0: 80}.get(prob, changed)
    if prob == 0.6:
        assert 30 < changed < 66


def test_number_of_classes_and_equal_chances():
    pseudo_labels = torch.arange(K).repeat(2, H, 2)[:, :, :W]
    ones = torch.ones(2, H, W)
    pseudo = PseudoLabels(pseudo_labels, ones, ones.bool(), ones)
    strong = torch.zeros(2, 3, H, W)
    strong[1] = 1
    _, _, images, labels = batch()
    counts = dict.fromkeys(combinations(range(K), 3), 0)
    for position in range(2000):
        mixed, _ = ClassMix(K, 1.0)(strong, pseudo, images, labels, keys(2, position))
        pasted = pseudo_labels[0][mixed[0, 0] == 1].unique().tolist()
        counts[tuple(pasted)] += 1  # ceil(5 / 2) of five classes
    found = np.array(list(counts.values()))
    assert len(found) == 10
    assert (abs(found - 200) < 4.5 * np.sqrt(200 * 0.9)).all()


def test_padding_is_neither_pasted_nor_counted():
    """The class that is on padding alone does not take the place of another."""
    strong, pseudo, images, labels = batch(2)
    pseudo.labels[1] = 2
    pseudo.labels[1, :, 4:] = 4
    pseudo.valid[1] = True
    pseudo.valid[1, :, 4:] = False
    for position in range(20):
        got, mixed = ClassMix(K, 1.0)(strong, pseudo, images, labels, keys(2, position))
        assert torch.equal(got[0, :, :, :4], strong[1, :, :, :4])
        assert torch.equal(got[0, :, :, 4:], strong[0, :, :, 4:])
        assert mixed.valid[0, :, :4].all()


def test_an_image_without_a_valid_pixel_gives_nothing():
    strong, pseudo, images, labels = batch(2)
    pseudo.valid[1] = False
    got, mixed = ClassMix(K, 1.0)(strong, pseudo, images, labels, keys(2))
    assert torch.equal(got[0], strong[0])
    assert torch.equal(mixed.labels[0], pseudo.labels[0])


def test_draws_depend_on_the_sample_alone():
    """Two processes with half of the batch each do what one does."""
    strong, pseudo, images, labels = batch(8)
    mixing = ClassMix(K, 0.7)
    whole, parts = mixing(strong, pseudo, images, labels, keys(8))
    for half in (slice(0, 4), slice(4, 8)):
        some = PseudoLabels(*(part[half] for part in pseudo))
        got, mixed = mixing(strong[half], some, images, labels, keys(8)[half])
        assert torch.equal(got, whole[half])
        for part, want in zip(mixed, parts, strict=True):
            assert torch.equal(part, want[half])


def test_a_single_image_is_refused():
    with pytest.raises(ValueError, match='1 unlabelled image .* expected at least 2'):
        ClassMix(K, 1.0)(*batch(1), keys(1))


def test_without_soft_targets_the_other_maps_are_the_same():
    strong, pseudo, images, labels = batch()
    hard = pseudo._replace(probabilities=None)
    want = ClassMix(K, 1.0)(strong, pseudo, images, labels, keys(4))
    got = ClassMix(K, 1.0)(strong, hard, images, labels, keys(4))
    assert torch.equal(got[0], want[0])
    assert got[1].probabilities is None
    assert all(torch.equal(a, b) for a, b in zip(got[1][:4], want[1][:4], strict=True))


def test_types_of_a_training_in_bf16_are_kept():
    strong, pseudo, images, labels = batch(2)
    half = pseudo._replace(confidence=pseudo.confidence.bfloat16())
    got, mixed = ClassMix(K)(strong.bfloat16(), half, images, labels, keys(2))
    assert (got.dtype, mixed.confidence.dtype) == (torch.bfloat16,) * 2
    assert mixed.weight.dtype == pseudo.weight.dtype


@pytest.mark.parametrize('prob', [-0.1, 1.1])
def test_refused_probability(prob):
    message = rf'mixing: ClassMix\.prob={prob}, expected 0 to 1'
    with pytest.raises(ValueError, match=message):
        ClassMix(K, prob)
