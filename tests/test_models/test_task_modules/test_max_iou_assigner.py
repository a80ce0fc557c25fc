"""Boxes are assigned to priors as by the host, in every setting."""

import pytest

pytest.importorskip('mmrotate', reason='part of the extra det')

import torch  # noqa: E402
from mmdet.models.task_modules.assigners import MaxIoUAssigner as Host  # noqa: E402
from mmengine.structures import InstanceData  # noqa: E402
from mmrotate.structures.bbox import RotatedBoxes  # noqa: E402

from s5_mm.models import MaxIoUAssigner  # noqa: E402

from ...test_end_to_end.host_syncs import WATCHED  # noqa: E402

SETTING = dict(
    pos_iou_thr=0.7,
    neg_iou_thr=0.3,
    min_pos_iou=0.3,
    iou_calculator=dict(type='mmrotate.RBboxOverlaps2D'),
)


def _overlaps(boxes, priors, seed=0):
    """Steps of 0.05, so that many are equal; some boxes overlap little."""
    generator = torch.Generator().manual_seed(seed)
    found = torch.rand(boxes, priors, generator=generator)
    found *= torch.rand(boxes, 1, generator=generator)
    return (found * 20).round() / 20


def _same(one, other):
    assert one.num_gts == other.num_gts
    for name in ('gt_inds', 'labels', 'max_overlaps'):
        mine, hosts = getattr(one, name), getattr(other, name)
        assert mine.dtype == hosts.dtype, name
        assert mine.equal(hosts), name


@pytest.mark.parametrize('every', [True, False])
@pytest.mark.parametrize('low_quality', [True, False])
@pytest.mark.parametrize('negative', [0.3, (0.1, 0.3)])
@pytest.mark.parametrize('size', [(12, 60), (40, 7), (1, 1), (0, 5), (3, 0)])
def test_is_the_hosts_assignment(every, low_quality, negative, size):
    setting = dict(
        SETTING,
        gt_max_assign_all=every,
        match_low_quality=low_quality,
        neg_iou_thr=negative,
    )
    ours, host = MaxIoUAssigner(**setting), Host(**setting)
    for seed in range(5):
        overlaps, labels = _overlaps(*size, seed), torch.arange(size[0]) % 4
        found = ours.assign_wrt_overlaps(overlaps.clone(), labels)
        _same(found, host.assign_wrt_overlaps(overlaps.clone(), labels))


def test_low_quality_matches_matter_in_the_comparison():
    """Several boxes claim one prior, and several priors are a box's best."""
    overlaps = _overlaps(12, 60)
    best = overlaps == overlaps.amax(dim=1, keepdim=True)
    assert (best.sum(dim=0) > 1).any()
    assert (best.sum(dim=1) > 1).any()
    plain = MaxIoUAssigner(**SETTING, match_low_quality=False)
    labels = torch.zeros(12).long()
    assert not (
        MaxIoUAssigner(**SETTING)
        .assign_wrt_overlaps(overlaps, labels)
        .gt_inds.equal(plain.assign_wrt_overlaps(overlaps, labels).gt_inds)
    )


@pytest.mark.parametrize('limit', [-1, 4])
def test_whole_assignment_reads_nothing_back(monkeypatch, limit):
    """Boxes in, assignment out; more boxes than the limit go to the CPU."""
    generator = torch.Generator().manual_seed(2)
    boxes = torch.rand(46, 5, generator=generator) * torch.tensor([60, 60, 30, 20, 3])
    boxes[6:12] = boxes[:6] + 1  # near enough
    priors = InstanceData(priors=RotatedBoxes(boxes[6:]))
    truth = InstanceData(bboxes=RotatedBoxes(boxes[:6]), labels=torch.arange(6))
    expected = Host(**SETTING, gpu_assign_thr=limit).assign(priors, truth)
    assert (expected.gt_inds > 0).sum() >= 4
    calls = []
    for name in WATCHED:
        plain = getattr(torch.Tensor, name)

        def counted(self, *args, _plain=plain, _name=name, **kwargs):
            calls.append(_name)
            return _plain(self, *args, **kwargs)

        monkeypatch.setattr(torch.Tensor, name, counted)
    found = MaxIoUAssigner(**SETTING, gpu_assign_thr=limit).assign(priors, truth)
    made = list(calls)
    monkeypatch.undo()
    assert made == ([] if limit < 0 else ['cpu'] * 3)
    _same(found, expected)
