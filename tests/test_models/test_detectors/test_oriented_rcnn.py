"""Oriented R-CNN with heads in fp32, and RoIs that are enlarged first."""

import pytest

pytest.importorskip('mmrotate', reason='part of the extra det')

import torch  # noqa: E402
from mmrotate.models.roi_heads.roi_extractors import (  # noqa: E402
    RotatedSingleRoIExtractor,
)

from s5_mm.models.roi_heads import EnlargedRoIExtractor  # noqa: E402
from s5_mm.testing import toy_detector  # noqa: E402

from .oriented import batch, build, hosted  # noqa: E402

ROI = dict(
    roi_layer=dict(type='RoIAlignRotated', out_size=7, sample_num=2, clockwise=True),
    out_channels=4,
    featmap_strides=[4, 8, 16, 32],
)


def _rois(count=40, size=256):
    generator = torch.Generator().manual_seed(0)
    rois = torch.rand(count, 6, generator=generator)
    rois *= torch.tensor([1.99, size, size, 150.0, 150.0, 3.1])
    rois[:, 0] = rois[:, 0].floor()
    rois[:, 3:5] += 4
    return rois


def _maps(size=256, dtype=torch.float32):
    generator = torch.Generator().manual_seed(1)
    return [
        torch.randn(2, 4, size // s, size // s, generator=generator).to(dtype)
        for s in (4, 8, 16, 32)
    ]


def test_enlarged_before_the_level_is_chosen():
    rois = _rois()
    host, ours = RotatedSingleRoIExtractor(**ROI), EnlargedRoIExtractor(**ROI)
    larger = rois.clone()
    larger[:, 3] *= 1.2
    larger[:, 4] *= 1.4
    levels = host.map_roi_levels(rois, 4), host.map_roi_levels(larger, 4)
    assert not levels[0].equal(levels[1])  # the order matters here
    assert ours(_maps(), rois).equal(host(_maps(), larger))
    assert not ours(_maps(), rois).equal(host(_maps(), rois))
    plain = EnlargedRoIExtractor(extend_factor=(1, 1), **ROI)
    assert plain(_maps(), rois).equal(host(_maps(), rois))
    assert rois.equal(_rois())  # left as they were


@pytest.mark.parametrize('factor', [(1.2,), (1.2, 0), (1.2, 1.4, 1.0)])
def test_factors_that_cannot_be(factor):
    with pytest.raises(ValueError, match='factors of width and height'):
        EnlargedRoIExtractor(extend_factor=factor, **ROI)


def test_pools_in_full_precision():
    maps = _maps(dtype=torch.bfloat16)
    exact = [level.float() for level in maps]
    ours = EnlargedRoIExtractor(**ROI)
    with torch.autocast('cpu', torch.bfloat16):
        found = ours(maps, _rois())
    assert found.dtype == torch.float32
    assert found.equal(ours(exact, _rois()))


def test_pools_from_channels_last_maps_what_it_pools_from_others():
    """mmcv's operator reads them as if they were contiguous."""
    ours = EnlargedRoIExtractor(**ROI)
    maps = [level.to(memory_format=torch.channels_last) for level in _maps()]
    assert not maps[0].is_contiguous()
    assert ours(maps, _rois()).equal(ours(_maps(), _rois()))


def test_rois_see_what_lies_under_them():
    """Maps that hold the position of their pixels give the centres of boxes."""
    size = 256
    maps = []
    for stride in (4, 8, 16, 32):
        places = (torch.arange(size // stride) + 0.5) * stride
        rows, columns = torch.meshgrid(places, places, indexing='ij')
        level = torch.stack([columns, rows, columns, rows]).expand(2, -1, -1, -1)
        maps.append(level.to(memory_format=torch.channels_last))
    rois = _rois(size=64)
    rois[:, 1:3] += 96  # nothing reaches beyond the image
    rois[:, 3:5] = rois[:, 3:5].clamp(max=80)
    found = EnlargedRoIExtractor(**ROI)(maps, rois).mean((2, 3))
    torch.testing.assert_close(found, rois[:, [1, 2, 1, 2]], rtol=0, atol=1e-3)


def _run(cfg, dtype=None):
    model = build(cfg)
    torch.nn.init.normal_(model.roi_head.bbox_head.fc_cls.weight, std=0.5)
    images, samples = batch('aa')
    for sample in samples:
        sample.gt_instances.bboxes.regularize_boxes('le90')  # the host leaves them
    torch.manual_seed(1)
    with torch.autocast('cpu', dtype or torch.bfloat16, enabled=dtype is not None):
        losses = model.loss(images, samples)
        loss, _ = model.parse_losses(losses)
        loss.backward()
        model.eval()
        with torch.no_grad():
            found = model.predict(images, samples)
    # Of all losses only RPN's classification hangs on no choice of boxes.
    rpn = sum(losses['loss_rpn_cls']).detach()
    return loss.detach(), model.backbone.pos_embed.grad, found, rpn


def test_is_the_hosts_detector():
    """To the bit; the coder, which rounds otherwise than OpenCV, has its own test."""
    cfg = toy_detector()
    cfg['rpn_head']['bbox_coder']['type'] = 'MidpointOffsetCoder'
    ours, host = _run(cfg), _run(hosted(toy_detector()))
    assert ours[0].equal(host[0])
    assert ours[1].equal(host[1])
    for one, other in zip(ours[2], host[2], strict=True):
        assert len(one.pred_instances)
        assert one.pred_instances.bboxes.equal(other.pred_instances.bboxes)


def test_parameters_have_the_hosts_names():
    ours, host = build(toy_detector()), build(hosted(toy_detector()))
    shapes = {name: value.shape for name, value in host.state_dict().items()}
    assert shapes == {name: value.shape for name, value in ours.state_dict().items()}


def test_trains_and_predicts_in_mixed_precision():
    loss, gradient, found, rpn = _run(toy_detector(), torch.bfloat16)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(rpn, _run(toy_detector())[3], rtol=0.01, atol=0)
    assert torch.isfinite(gradient).all()
    assert gradient.abs().sum() > 0
    assert found[0].pred_instances.bboxes.dtype == torch.float32
    with pytest.raises(TypeError, match='BFloat16'):
        _run(hosted(toy_detector()), torch.bfloat16)  # why the class is there


def test_losses_do_not_depend_on_how_ground_truth_is_written():
    found = []
    for swap in (False, True):
        model, (images, samples) = build(toy_detector()), batch('aa')
        for sample in samples:
            boxes = sample.gt_instances.bboxes
            boxes.regularize_boxes('le90')
            assert len(boxes)
            assert (boxes.tensor[:, 2] > boxes.tensor[:, 3]).all()
            if swap:  # the same boxes: sides swapped, a quarter turn
                boxes.tensor = boxes.tensor[:, [0, 1, 3, 2, 4]]
                boxes.tensor[:, 4] -= torch.pi / 2
        torch.manual_seed(1)
        loss, _ = model.parse_losses(model.loss(images, samples))
        found.append(loss)
    assert torch.allclose(found[0], found[1], rtol=1e-5)
