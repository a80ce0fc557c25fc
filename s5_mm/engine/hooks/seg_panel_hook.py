"""Pictures of what a segmentor predicts, in the colours of each data set."""

from __future__ import annotations

import os.path as osp
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from mmengine.dist import get_dist_info, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.visualization import LocalVisBackend

from s5_mm.datasets import read_image
from s5_mm.registry import HOOKS
from s5_mm.visualization import prediction_panel

if TYPE_CHECKING:
    from mmseg.structures import SegDataSample

_PER_VALIDATION = 4
_IGNORE = 255


@HOOKS.register_module()
class SegPanelHook(Hook):
    """Draws image | truth | prediction of validation and test samples.

    Takes the place of mmseg's ``SegVisualizationHook``, which lays the colours of one
    data set over the image, and only over the first of a validation batch.  Here each
    sample is drawn with the classes and the palette of its own data set
    (``dataset_name``, see :class:`s5_mm.MultiSourceDataset`), beside the truth if
    there is one, with the image's own mIoU (over the classes that occur in it) and OA
    in the caption.

    Pictures go to the visualizer's backends as ``<data set>_<file name>``, or
    ``val_...`` and ``test_...`` where there is a single data set without name.  The
    step is the iteration in a validation, so that the pictures of one image line up,
    and the number of the sample, from 1, in a test.  In a test every process draws
    its share, into files alone if it is not the main one; in a validation the main
    process draws.

    Args:
        draw: Whether to draw at all; ``tools/test.py --show-dir`` and ``--show`` do.
        interval: Every how many samples of a data set one is drawn, from the first.
        show: Also open a window.
        wait_time: Seconds that a picture stays in the window; 0 waits for a key.
        max_per_dataset: At most so many pictures of each data set, and of each
            process, at a time; None: 4 in a validation, all in a test.
        tile_size: Side of a tile in pixels.

    Raises:
        ValueError: If ``interval`` is less than 1.
    """

    def __init__(
        self,
        draw: bool = False,
        interval: int = 50,
        show: bool = False,
        wait_time: float = 0.0,
        max_per_dataset: int | None = None,
        tile_size: int = 320,
    ) -> None:
        if interval < 1:
            raise ValueError(f'interval={interval}, expected at least 1')
        self.draw = draw
        self.interval = interval
        self.show = show
        self.wait_time = wait_time
        self.max_per_dataset = max_per_dataset
        self.tile_size = tile_size
        self._restart()

    def _restart(self) -> None:
        """Count from nothing."""
        self._number = 0
        self._seen: Counter[str | None] = Counter()
        self._drawn: Counter[str | None] = Counter()

    def before_val_epoch(self, runner: Runner) -> None:
        """Begin to count, so that every validation draws the same images."""
        self._restart()

    def before_test_epoch(self, runner: Runner) -> None:
        """Begin to count."""
        self._restart()

    def after_val_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Sequence[SegDataSample] | None = None,
    ) -> None:
        """Draw samples of a validation batch.

        Args:
            runner: The runner.
            batch_idx: Not used.
            data_batch: Not used.
            outputs: Samples with ``pred_sem_seg`` and perhaps ``gt_sem_seg``, both
                (1, H, W) of the image's own size.

        Raises:
            ValueError: If a mask has another size than its image, or a prediction
                has ids beyond the classes of its data set.
            ImageError: If an image cannot be read as 8-bit RGB.
        """
        if not self.draw or not is_main_process():
            return
        most = self.max_per_dataset
        most = _PER_VALIDATION if most is None else most
        metainfo = runner.val_dataloader.dataset.metainfo
        for sample in outputs:
            if self._is_due(sample, most):
                self._picture(runner, sample, metainfo, 'val', runner.iter)

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Sequence[SegDataSample] | None = None,
    ) -> None:
        """Draw samples of a test batch.

        Args:
            runner: The runner.
            batch_idx: Not used.
            data_batch: Not used.
            outputs: As of :meth:`after_val_iter`, which also says what is raised.
        """
        if not self.draw:
            return
        dataset = runner.test_dataloader.dataset
        rank, world = get_dist_info()
        for sample in outputs:
            # The place that mmengine's DefaultSampler took it from; beyond the end
            # are repeated samples that fill up the shares of the processes.
            place = self._number * world + rank
            self._number += 1
            if place < len(dataset) and self._is_due(sample, self.max_per_dataset):
                self._picture(runner, sample, dataset.metainfo, 'test', place + 1)

    def _is_due(self, sample: SegDataSample, most: int | None) -> bool:
        """Count a sample of its data set and say whether to draw it."""
        name = sample.get('dataset_name')
        due = self._seen[name] % self.interval == 0
        due = due and (most is None or self._drawn[name] < most)
        self._seen[name] += 1
        self._drawn[name] += due
        return due

    def _picture(
        self,
        runner: Runner,
        sample: SegDataSample,
        metainfo: dict,
        phase: str,
        step: int,
    ) -> None:
        """Draw a sample and hand the picture on."""
        dataset = sample.get('dataset_name')
        stem = osp.splitext(osp.basename(sample.img_path))[0]
        name = f'{dataset or phase}_{stem}'
        picture = self._panel(sample, _info_of(dataset, metainfo, sample.img_path))
        if is_main_process():
            runner.visualizer.add_image(name, picture, step=step)
            if self.show:
                runner.visualizer.show(picture, win_name=name, wait_time=self.wait_time)
            return
        # The visualizer listens to the main process alone.
        for backend in runner.visualizer._vis_backends.values():
            if isinstance(backend, LocalVisBackend):
                backend.add_image(name, picture, step=step)

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
            truth = np.where(truth < len(classes), truth, _IGNORE)
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


def _info_of(dataset: str | None, metainfo: dict, path: str) -> dict:
    """Classes and palette of the data set of a sample."""
    datasets = metainfo.get('datasets')
    if dataset is not None and datasets is not None and dataset not in datasets:
        raise ValueError(
            f'{path}: dataset_name={dataset!r} found, the loader has {list(datasets)}'
        )
    info = metainfo if dataset is None or datasets is None else datasets[dataset]
    if missing := [key for key in ('classes', 'palette') if not info.get(key)]:
        raise ValueError(
            f'{path}: metainfo of the data set {dataset or ""!r} has no {missing}, '
            'which its pictures need'
        )
    return info


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
    labelled = truth != _IGNORE
    if not labelled.any():
        return 'no labelled pixel'
    pairs = truth[labelled] * num_classes + prediction[labelled]
    confusion = np.bincount(pairs, minlength=num_classes**2)
    confusion = confusion.reshape(num_classes, num_classes)
    hit = np.diag(confusion)
    union = confusion.sum(axis=0) + confusion.sum(axis=1) - hit
    miou = (hit[union > 0] / union[union > 0]).mean()
    return f'mIoU {100 * miou:.1f}  OA {100 * hit.sum() / labelled.sum():.1f}'
