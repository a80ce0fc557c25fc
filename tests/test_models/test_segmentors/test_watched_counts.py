"""The counts behind what is logged and warned of: labels and pseudo-labels by class."""

import numpy as np
import pytest
import torch

from s5_mm.models.pseudo_labels import (
    PseudoLabels,
    count_labels,
    count_pseudo_labels,
)

from ...support.distributed import run_ranks
from .fixmatch_toys import build, draw_batch

K = 4


def _pseudo(start=0, stop=6):
    """Pseudo-labels of six images with every kind of weight, or of some of them."""
    rng = np.random.default_rng(4)
    shape = (6, 19, 23)
    labels = rng.integers(0, K - 1, shape)  # the last class never occurs
    valid = rng.random(shape) < 0.8
    kinds = np.stack([np.zeros(shape), np.ones(shape), rng.random(shape)])
    weight = np.take_along_axis(kinds, rng.integers(0, 3, (1, *shape)), axis=0)[0]
    weight = (weight * valid).astype(np.float32)
    parts = (labels, weight, valid, weight)
    return PseudoLabels(*(torch.from_numpy(part[start:stop]) for part in parts))


def _labels(start=0, stop=6):
    rng = np.random.default_rng(5)
    labels = rng.choice([0, 0, 0, 1, 3, 7, 254, 255], (6, 11, 13))
    return torch.from_numpy(labels[start:stop])


def test_weights_and_labels_are_added_up_by_class():
    pseudo, labels = _pseudo(), _labels()
    got = count_pseudo_labels(pseudo, K)
    assert got.dtype == torch.int64
    weight, ids = pseudo.weight.double().numpy(), pseudo.labels.numpy()
    want = [weight[ids == k].sum() for k in range(K)]
    assert np.abs(got[:-1].numpy() - want).max() <= 0.51  # rounded to pixels
    assert got[-1] == int(pseudo.valid.numpy().sum())
    assert want[0] > 100
    assert got[K - 1] == 0
    found = count_labels(labels, K)
    assert found.tolist() == [int((labels.numpy() == k).sum()) for k in range(K)]
    assert found[0] > 100


def _share(rank, world):
    size = 6 // world
    part = slice(rank * size, (rank + 1) * size)
    pseudo = _pseudo(part.start, part.stop)
    labels = _labels(part.start, part.stop)
    return [count_pseudo_labels(pseudo, K), count_labels(labels, K)]


def test_three_processes_count_what_one_does(tmp_path):
    want = _share(0, 1)
    for counts in run_ranks(_share, 3, tmp_path):
        for got, alone in zip(counts, want, strict=True):
            assert torch.equal(got, alone)


def test_the_model_counts_labels_from_the_first_iteration(hub):
    model = build(burn_in=2, conf_thresh=0.6)
    inputs, samples, mix = draw_batch()
    labels = torch.cat([s.gt_sem_seg.data for s in samples['sup']]).numpy()
    want = np.bincount(labels.ravel(), minlength=256)[:K]
    assert (want > 0).all()
    for step in range(4):
        hub.update_info('iter', step)
        model(inputs, samples, mode='loss', mix=mix)
        assert model.label_counts.tolist() == ((step + 1) * want).tolist()
        assert model.pseudo_counts.any() == (step >= 2)


def test_rules_that_weigh_are_counted_by_weight(hub):
    model = build(conf_thresh=None, threshold=dict(type='s5_mm.SoftMatchWeight'))
    inputs, samples, mix = draw_batch()
    losses = model(inputs, samples, mode='loss', mix=mix)
    *passed, valid = model.read_pseudo_counts().tolist()
    assert 0.05 < losses['mask_ratio'] < 0.99
    assert abs(sum(passed) - losses['mask_ratio'] * valid) <= K / 2


def test_a_checkpoint_from_before_labels_were_counted_loads():
    old = build(seed=1).state_dict()
    del old['label_counts']
    model = build(seed=2)
    model.label_counts += 3
    model.load_state_dict(old)
    assert torch.equal(model.student.state_dict()['decode_head.conv_seg.weight'],
                       old['student.decode_head.conv_seg.weight'])  # fmt: skip


def test_counts_are_in_the_checkpoint():
    model = build(conf_thresh=0.6)
    inputs, samples, mix = draw_batch()
    model(inputs, samples, mode='loss', mix=mix)
    other = build(seed=2)
    other.load_state_dict(model.state_dict())
    assert other.label_counts.tolist() == model.label_counts.tolist() != [0] * K
    assert other.pseudo_counts.tolist() == model.pseudo_counts.tolist()


@pytest.mark.parametrize('burn_in', [0, 2])
def test_a_label_beyond_the_classes_is_named_not_counted(hub, burn_in):
    model = build(burn_in=burn_in)
    inputs, samples, mix = draw_batch()
    samples['sup'][0].gt_sem_seg.data[0, 5, 5] = 7
    with pytest.raises(ValueError, match='a label is 7, the decode head has num_cla'):
        model(inputs, samples, mode='loss', mix=mix)
