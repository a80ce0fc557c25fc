"""Pictures of what a segmentor predicts, in the colours of each data set."""

from __future__ import annotations

import os.path as osp
from typing import TYPE_CHECKING

import numpy as np

from s5_mm.io.images.read import read_image
from s5_mm.registry import HOOKS
from s5_mm.utils.ignore import IGNORE
from s5_mm.visualization import prediction_panel

from .panel_hook import PanelHook

if TYPE_CHECKING:
    from mmseg.structures import SegDataSample


@HOOKS.register_module()
class SegPanelHook(PanelHook):
    """Draws image | truth | prediction of validation and test samples.

    Takes the place of mmseg's ``SegVisualizationHook``, which lays the colours of one
    data set over the image, and only over the first of a validation batch.  Here each
    sample is drawn with the classes and the palette of its own data set
    (``dataset_name``, see :class:`s5_mm.MultiSourceDataset`), beside the truth if
    there is one, with the image's own mIoU (over the classes that occur in it) and OA
    in the caption.

    The arguments, and where the pictures go, are those of
    :class:`s5_mm.engine.hooks.panel_hook.PanelHook`.

    Raises:
        ValueError: While drawing, if a mask has another size than its image, or a
            prediction has ids beyond the classes of its data set.
    """

    def _panel(self, sample: SegDataSample, info: dict) -> np.ndarray:
        """Draw a sample, uint8 (H, W, 3) RGB."""
        path, classes = sample.img_path, info['classes']
        image = read_image(path, alpha='drop', grey='repeat')
        prediction = _mask(sample, 'pred_sem_seg', image.shape[:2])
        if prediction.max() >= len(classes):
            raise ValueError(
                f'{path}: class id {prediction.max()} was predicted, the data set has '
                f'the classes 0 to {len(classes) - 1}'
            )
        titles, masks, caption = ['image'], [prediction], osp.basename(path)
        if 'gt_sem_seg' in sample:
            truth = _mask(sample, 'gt_sem_seg', image.shape[:2])
            truth = np.where(truth < len(classes), truth, IGNORE)
            titles, masks = ['image', 'truth'], [truth, prediction]
            caption += '  ' + _figures(prediction, truth, len(classes))
        return prediction_panel(
            [image],
            [masks],
            [*titles, 'prediction'],
            classes,
            info['palette'],
            [caption],
            tile_size=self.tile_size,
        )


def _mask(sample: SegDataSample, field: str, size: tuple[int, int]) -> np.ndarray:
    """Class ids of a sample, int64 (H, W)."""
    data = sample.get(field).data
    mask = data.reshape(data.shape[-2:]).cpu().numpy().astype(np.int64)
    if mask.shape != size:
        raise ValueError(
            f'{sample.img_path}: {field} has {mask.shape} px, the image {size}'
        )
    return mask


def _figures(prediction: np.ndarray, truth: np.ndarray, num_classes: int) -> str:
    """An image's own figures, over its labelled pixels."""
    labelled = truth != IGNORE
    if not labelled.any():
        return 'no labelled pixel'
    pairs = truth[labelled] * num_classes + prediction[labelled]
    confusion = np.bincount(pairs, minlength=num_classes**2)
    confusion = confusion.reshape(num_classes, num_classes)
    hit = np.diag(confusion)
    union = confusion.sum(axis=0) + confusion.sum(axis=1) - hit
    miou = (hit[union > 0] / union[union > 0]).mean()
    return f'mIoU {100 * miou:.1f}  OA {100 * hit.sum() / labelled.sum():.1f}'
