"""Pictures of what an oriented detector finds, in the colours of each data set."""

from __future__ import annotations

import os.path as osp
from typing import TYPE_CHECKING, Any

import numpy as np

from s5_mm.io.images.read import read_image
from s5_mm.registry import HOOKS
from s5_mm.utils.argument_checks import check_number
from s5_mm.visualization import OrientedBoxes, detection_panel

from .panel_hook import PanelHook

if TYPE_CHECKING:
    from mmdet.structures import DetDataSample


@HOOKS.register_module()
class BoxPanelHook(PanelHook):
    """Draws image with ground truth | image with predictions.

    Takes the place of mmdet's ``DetVisualizationHook`` with mmrotate's
    ``RotLocalVisualizer``, which knows the classes and the colours of one data set
    only, reads images by their extension, and writes a text onto the middle of every
    box, so that the boxes of a crowded place disappear below them.  Here each sample
    is drawn with the classes and the palette of its own data set (``dataset_name``,
    see :class:`s5_mm.MultiSourceDataset`).

    The boxes are taken to be in the coordinates of the image file; so annotations
    must be loaded behind the resizing in the pipelines of validation and test, as
    mmrotate's do.  Boxes in ``ignored_instances`` are grey.

    Args:
        score_thr: Predictions with a lower score are not drawn.
        tile_size: Side of a picture in pixels.
        **kwargs: When to draw, and more, see
            :class:`s5_mm.engine.hooks.panel_hook.PanelHook`.

    Raises:
        ValueError: If ``score_thr`` is not in [0, 1]; while drawing, if a label is
            no class of its data set, or a class has no colour.
    """

    def __init__(
        self, score_thr: float = 0.3, tile_size: int = 768, **kwargs: Any
    ) -> None:
        super().__init__(tile_size=tile_size, **kwargs)
        self.score_thr = check_number('score_thr', score_thr, 0, 1)

    def _panel(self, sample: DetDataSample, info: dict) -> np.ndarray:
        """Draw a sample, uint8 (H, W, 3) RGB."""
        path = sample.img_path
        found = sample.pred_instances
        prediction = OrientedBoxes(
            _array(found.bboxes), _array(found.labels), _array(found.scores)
        )
        image = read_image(path, alpha='drop', grey='repeat')
        try:
            return detection_panel(
                image,
                _truth(sample),
                prediction,
                info['classes'],
                info['palette'],
                score_thr=self.score_thr,
                dataset=sample.get('dataset_name') or '',
                caption=osp.basename(path),
                tile_size=self.tile_size,
            )
        except ValueError as error:
            raise ValueError(f'{path}: {error}') from error


def _truth(sample: DetDataSample) -> OrientedBoxes | None:
    """The ground truth of a sample, if it has one."""
    if 'bboxes' not in sample.get('gt_instances', ()):
        return None
    boxes = _array(sample.gt_instances.bboxes)
    labels = _array(sample.gt_instances.labels)
    if 'bboxes' in sample.get('ignored_instances', ()):
        ignored = _array(sample.ignored_instances.bboxes)
        if len(ignored):
            boxes = np.concatenate([boxes, ignored])
            labels = np.concatenate([labels, np.full(len(ignored), -1)])
    return OrientedBoxes(boxes, labels)


def _array(values: Any) -> np.ndarray:
    """A tensor, or boxes of the host, as an array."""
    return getattr(values, 'tensor', values).detach().cpu().numpy()
