"""Distribution alignment against its equation, pixel by pixel in fp64."""

import numpy as np
import pytest
import torch

from s5_mm.models import DistributionAlignment

from .batches import H, K, W, ground_truth, padding, probabilities
from .reference import Average


@pytest.mark.parametrize(
    ('target', 'power', 'momentum'),
    [
        ('labels', 1.0, 0.5),
        ('labels', 0.5, 0.999),
        ('uniform', 1.0, 0.5),
        ([5, 2, 2, 1], 1.0, 0.5),
        ((0.0, 0.5, 0.25, 0.25), 0.5, 1.0),
    ],
)
def test_predictions_are_corrected_by_the_equation(target, power, momentum):
    alignment = DistributionAlignment(K, target, momentum, power)
    model, labelled = Average(momentum, 0.0), Average(momentum, 0.0)
    for seed in range(4):
        p, valid, labels = probabilities(seed), padding(), ground_truth(seed)
        alignment.observe_labels(labels)
        alignment.update(p, valid)
        got = alignment(p)

        counts = np.array([(labels == k).sum().item() for k in range(K)])
        labelled.add(counts / counts.sum())
        seen = [
            p[i, :, y, x].double().numpy()
            for i, y, x in zip(*np.nonzero(valid.numpy()), strict=True)
        ]
        model.add(np.mean(seen, axis=0))
        wanted = labelled.value
        if target == 'uniform':
            wanted = np.full(K, 1 / K)
        elif target != 'labels':
            wanted = np.array(target) / sum(target)
        ratio = ((wanted + 1e-6) / (model.value + 1e-6)) ** power
        for i, y, x in np.ndindex(4, H, W):
            own = p[i, :, y, x].double().numpy() * ratio
            np.testing.assert_allclose(
                got[i, :, y, x].numpy(), own / own.sum(), rtol=1e-5, atol=1e-9
            )
    assert got.dtype == torch.float32
    assert (got - p).abs().max() > 0.1, 'nothing was corrected'


@pytest.mark.parametrize('target', ['labels', 'uniform', [1, 1, 1, 1]])
def test_predictions_stay_until_there_is_something_to_correct_by(target):
    alignment = DistributionAlignment(K, target)
    p = probabilities(0)
    alignment.observe_labels(torch.full((1, H, W), 255))
    torch.testing.assert_close(alignment(p), p)
    alignment.observe_labels(ground_truth(0))  # as in the burn-in
    torch.testing.assert_close(alignment(p), p)
    alignment.update(p, torch.zeros(4, H, W, dtype=torch.bool))
    alignment.update(p * torch.nan, padding())
    torch.testing.assert_close(alignment(p), p)
    alignment.update(p, padding())
    assert (alignment(p) - p).abs().max() > 0.1


def test_labels_alone_are_not_enough():
    alignment = DistributionAlignment(K)
    p = probabilities(0)
    alignment.update(p, padding())
    torch.testing.assert_close(alignment(p), p)


def test_after_alignment_the_mean_is_closer_to_the_target():
    alignment = DistributionAlignment(K, 'uniform')
    p, everywhere = probabilities(0), torch.ones(4, H, W, dtype=torch.bool)
    alignment.update(p, everywhere)
    before, after = (q.mean(dim=(0, 2, 3)) - 1 / K for q in (p, alignment(p)))
    assert after.abs().sum() < 0.7 * before.abs().sum()


def test_labels_that_are_no_class_do_not_count():
    alignment = DistributionAlignment(K)
    labels = torch.tensor([[[0, 0, 1, 255, K, 254]]])
    alignment.observe_labels(labels)
    torch.testing.assert_close(
        alignment.labels.value, torch.tensor([2 / 3, 1 / 3, 0, 0]).double()
    )
