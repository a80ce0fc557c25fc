"""What tools/test.py --tta --show-dir does, with a detector that reads pixels."""

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

pytest.importorskip('mmrotate', reason='part of the extra det')

from mmdet.structures.bbox import scale_boxes
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmengine.registry import METRICS, MODELS
from mmengine.runner import Runner
from mmengine.structures import InstanceData
from mmrotate.structures import RotatedBoxes

from s5_mm.cli.config import load_config
from s5_mm.cli.switches import show_predictions, switch_to_tta

ROOT = Path(__file__).parents[2]
LEAVES = sorted((ROOT / 'configs/finetune_det').glob('*.py'))
SIZES = dict(ports=(120, 200), fields=(160, 160))
BOXES = dict(
    ports=[[60, 40, 50, 20, 0.3], [140, 80, 60, 16, -1.0]],
    fields=[[80, 90, 70, 30, 1.2]],
)


class BrightDetector(BaseModel):
    """Finds bright spots by their axes of inertia."""

    def forward(self, inputs, data_samples, mode='tensor'):
        """Predict in the coordinates of the original images."""
        assert mode == 'predict'
        for image, sample in zip(inputs, data_samples, strict=True):
            height, width = sample.img_shape
            boxes = _bright(image[0, :height, :width].cpu().numpy())
            scale = [1 / factor for factor in sample.scale_factor]
            boxes = scale_boxes(RotatedBoxes(boxes), scale).tensor
            sample.pred_instances = InstanceData(
                bboxes=boxes,
                scores=torch.full((len(boxes),), 0.6),
                labels=torch.zeros(len(boxes), dtype=torch.long),
            )
        return data_samples


class KeepBoxes(BaseMetric):
    """Keeps what it is given."""

    kept: dict = {}

    def process(self, data_batch, data_samples):
        """Keep predictions and truth by the data set."""
        for sample in data_samples:
            self.kept[sample['dataset_name']] = sample
            self.results.append(0)

    def compute_metrics(self, results):
        """Count the samples."""
        return dict(count=len(results))


def _bright(image):
    count, ids = cv2.connectedComponents((image > 127).astype(np.uint8))
    boxes = []
    for i in range(1, count):
        y, x = np.nonzero(ids == i)
        lengths, axes = np.linalg.eigh(np.cov(x, y))
        h, w = np.sqrt(12 * lengths)
        angle = math.atan2(axes[1, 1], axes[0, 1])
        boxes.append([x.mean() + 0.5, y.mean() + 0.5, w, h, angle])
    return torch.tensor(boxes, dtype=torch.float32).reshape(-1, 5)


def _write(folder, name):
    """An image with bright boxes, and its annotations."""
    image = np.zeros((*SIZES[name], 3), np.uint8)
    lines = []
    for cx, cy, w, h, angle in BOXES[name]:
        rect = ((cx - 0.5, cy - 0.5), (w - 1, h - 1), math.degrees(angle))
        points = np.rint(cv2.boxPoints(rect) * 16).astype(np.int32)
        cv2.fillConvexPoly(image, points, (255, 255, 255), shift=4)
        corners = RotatedBoxes(torch.tensor([[cx, cy, w, h, angle]]))
        values = corners.convert_to('qbox').tensor[0].tolist()
        lines.append(' '.join(f'{value:.3f}' for value in values) + ' ship 0')
    for part in ('images', 'annfiles'):
        (folder / name / part).mkdir(parents=True)
    assert cv2.imwrite(str(folder / name / 'images/scene.png'), image)
    (folder / name / 'annfiles/scene.txt').write_text('\n'.join(lines))


def _source(folder, name):
    return dict(
        type='s5_mm.DotaTextDataset',
        data_root=str(folder / name),
        ann_file='annfiles',
        data_prefix=dict(img_path='images'),
        metainfo=dict(classes=('ship',), palette=[[230, 40, 40]]),
        test_mode=True,
    )


@pytest.fixture
def toys(monkeypatch):
    for registry, toy in ((MODELS, BrightDetector), (METRICS, KeepBoxes)):
        registry.register_module(module=toy, force=True)
    yield
    for registry, toy in ((MODELS, BrightDetector), (METRICS, KeepBoxes)):
        registry._module_dict.pop(toy.__name__)
    KeepBoxes.kept.clear()


def test_views_of_several_data_sets_are_merged_judged_and_drawn(tmp_path, toys):
    for name in SIZES:
        _write(tmp_path, name)
    base = Config.fromfile(ROOT / 'configs/_base_/tta_det.py').to_dict()
    base['tta_pipeline'][1]['transforms'][0][0]['scale'] = (400, 400)
    cfg = Config(
        dict(
            **base,
            default_scope='mmrotate',
            work_dir=str(tmp_path / 'run'),
            model=dict(
                type='mmengine.BrightDetector',
                data_preprocessor=dict(
                    type='mmdet.DetDataPreprocessor', boxtype2tensor=False
                ),
            ),
            test_dataloader=dict(
                batch_size=2,
                num_workers=0,
                sampler=dict(type='DefaultSampler', shuffle=False),
                collate_fn=dict(type='pseudo_collate'),
                dataset=dict(
                    type='s5_mm.MultiSourceDataset',
                    pipeline=[dict(type='s5_mm.LoadImage')],
                    sources={name: _source(tmp_path, name) for name in SIZES},
                ),
            ),
            test_evaluator=dict(type='mmengine.KeepBoxes'),
            test_cfg=dict(type='TestLoop'),
            visualizer=dict(type='mmrotate.RotLocalVisualizer', name='tta'),
            default_hooks=dict(visualization=dict(type='s5_mm.BoxPanelHook')),
            experiment_name='oriented_tta',
            log_level='WARNING',
        )
    )
    switch_to_tta(cfg)
    show_predictions(cfg, False, str(tmp_path / 'pictures'), 0)
    assert Runner.from_cfg(cfg).test() == dict(count=2)
    assert sorted(path.name for path in (tmp_path / 'pictures').iterdir()) == [
        'fields_scene_2.png',
        'ports_scene_1.png',
    ]
    for name, boxes in BOXES.items():
        sample = KeepBoxes.kept[name]
        found = sample['pred_instances']['bboxes']
        truth = sample['gt_instances']['bboxes'].tensor
        assert len(found) == len(boxes)
        for box in torch.tensor(boxes, dtype=torch.float32):
            assert (found - box).abs().amax(dim=1).min() < 1.5
            assert (truth[:, :2] - box[:2]).abs().amax(dim=1).min() < 0.01


@pytest.mark.parametrize('leaf', LEAVES, ids=lambda path: path.stem)
def test_views_have_the_size_that_the_sources_are_tested_at(leaf):
    cfg = load_config(str(leaf))
    views = cfg.tta_pipeline[1].transforms[0][0]
    pipeline = cfg.test_dataloader.dataset.pipeline
    (resize,) = (step for step in pipeline if step.type == views.type)
    assert resize == views
    switch_to_tta(cfg)  # no source has a pipeline of its own
    assert cfg.test_dataloader.dataset.pipeline == cfg.tta_pipeline
