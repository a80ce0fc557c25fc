"""No rule waits for a GPU, by reading back what the GPU computes."""

import pytest
import torch
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
)

from s5_mm.models import DistributionAlignment
from s5_mm.models.pseudo_labels import Predictions
from s5_mm.registry import MODELS

from ...support.distributed import run_ranks
from .batches import RULES, H, K, W


def _run_all(rank, world):
    """Fake tensors of a GPU refuse what needs their values, or mixes devices."""
    with FakeTensorMode(), torch.device('cuda'):
        p = torch.rand(2, K, H, W).softmax(dim=1)
        confidence, labels = p.max(dim=1)
        valid = torch.ones(2, H, W, dtype=torch.bool)
        batch = Predictions(labels, confidence, valid, p)
        found = {}
        for name, config in RULES.items():
            rule = MODELS.build(dict(config, num_classes=K))
            rule.update(batch)
            rule.observe_labelled(torch.ones(2))
            found[name] = rule(batch)
        for target in ('labels', 'uniform'):
            alignment = DistributionAlignment(K, target)
            alignment.observe_labels(labels)
            alignment.update(p, valid)
            found[target] = alignment(p)
        return {
            name: [weight.device.type, *weight.shape] for name, weight in found.items()
        }


def test_nothing_waits_for_a_gpu(tmp_path):
    # In a process of its own: torch keeps the fake GPUs for the rest of a process.
    (found,) = run_ranks(_run_all, 1, tmp_path)
    assert len(found) == len(RULES) + 2
    for name, (device, *shape) in found.items():
        wanted = [2, K, H, W] if name in ('labels', 'uniform') else [2, H, W]
        assert (device, shape) == ('cuda', wanted), name


@pytest.mark.parametrize(
    'wait',
    [
        lambda x: x.sum().item(),
        lambda x: bool(x.any()),
        lambda x: x[x > 0],
        lambda x: x.long().bincount(),
        lambda x: x.nonzero(),
    ],
)
def test_fake_tensors_refuse_what_waits(wait):
    refusals = (DataDependentOutputException, DynamicOutputShapeException)
    with FakeTensorMode(), pytest.raises(refusals):
        wait(torch.ones(3))
