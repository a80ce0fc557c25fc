"""Two processes with half of the batch learn what one learns from all of it."""

import torch

from s5_mm.models import DistributionAlignment
from s5_mm.registry import MODELS

from ...support.distributed import run_ranks
from .batches import RULES, K, ground_truth, learn, padding, probabilities


def _rules(rank, world):
    share = slice(rank * 4 // world, (rank + 1) * 4 // world)
    found = {}
    for name, config in RULES.items():
        rule = MODELS.build(dict(config, num_classes=K))
        weights = [learn(rule, seed, share) for seed in range(4)]
        found[name] = dict(state=dict(rule.state_dict()), weights=torch.stack(weights))
    alignment = DistributionAlignment(K, momentum=0.5)
    weights = []
    for seed in range(4):
        p = probabilities(seed)[share]
        alignment.observe_labels(ground_truth(seed)[share])
        alignment.update(p, padding()[share])
        weights.append(alignment(p))
    state = dict(alignment.state_dict())
    found['alignment'] = dict(state=state, weights=torch.stack(weights))
    return found


def test_two_processes_equal_one(tmp_path):
    alone, both = _rules(0, 1), run_ranks(_rules, 2, tmp_path)
    for name, want in alone.items():
        first, second = (rank[name] for rank in both)
        assert first['state'].keys() == want['state'].keys()
        for key, value in first['state'].items():
            assert torch.equal(value, second['state'][key]), (name, key)
        # Sums of whole numbers are the same to the bit, those of p in fp64 nearly.
        close = dict(rtol=1e-13, atol=0)
        if name == 'adamatch':
            close = dict(rtol=1e-6, atol=0)  # sums of the compiled step are fp32
        torch.testing.assert_close(first['state'], want['state'], **close)
        weights = torch.cat([first['weights'], second['weights']], dim=1)
        torch.testing.assert_close(weights, want['weights'], rtol=1e-5, atol=1e-7)
