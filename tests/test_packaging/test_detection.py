"""mmrotate's own Oriented R-CNN runs, whichever operators mmcv has."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData

mmrotate = pytest.importorskip('mmrotate', reason='part of the extra det')
CONFIG = '.mim/configs/oriented_rcnn/oriented-rcnn-le90_r50_fpn_1x_dota.py'
SIZE = 128


def _sample():
    from mmdet.structures import DetDataSample
    from mmrotate.structures.bbox import RotatedBoxes

    shape = dict.fromkeys(
        ('img_shape', 'ori_shape', 'pad_shape', 'batch_input_shape'), (SIZE, SIZE)
    )
    sample = DetDataSample(metainfo=dict(shape, scale_factor=(1.0, 1.0)))
    boxes = [[40.0, 40.0, 60.0, 30.0, 0.3], [85.0, 75.0, 70.0, 40.0, -0.7]]
    sample.gt_instances = InstanceData(
        bboxes=RotatedBoxes(torch.tensor(boxes)), labels=torch.tensor([1, 3])
    )
    sample.ignored_instances = InstanceData(
        bboxes=RotatedBoxes(torch.zeros(0, 5)), labels=torch.zeros(0).long()
    )
    return sample


def test_oriented_rcnn_trains_a_step_and_predicts():
    torch.manual_seed(0)
    cfg = Config.fromfile(Path(mmrotate.__file__).parent / CONFIG)
    cfg.model.backbone.init_cfg = None  # downloads nothing
    with DefaultScope.overwrite_default_scope('mmrotate'):
        from mmrotate.registry import MODELS

        model = MODELS.build(cfg.model)
        images = [torch.randint(0, 256, (3, SIZE, SIZE)).byte() for _ in range(2)]
        batch = dict(inputs=images, data_samples=[_sample() for _ in images])
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
        before = model.roi_head.bbox_head.fc_reg.weight.clone()
        losses = model(**model.data_preprocessor(batch, True), mode='loss')
        total, _ = model.parse_losses(losses)
        total.backward()
        optimizer.step()
        assert torch.isfinite(total)
        assert not torch.equal(before, model.roi_head.bbox_head.fc_reg.weight)
        model.eval()
        with torch.no_grad():
            found = model.test_step(batch)
    for sample in found:
        assert sample.pred_instances.bboxes.shape[1] == 5
        assert len(sample.pred_instances.scores) == len(sample.pred_instances.bboxes)
