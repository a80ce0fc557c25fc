"""Segmentation figures of the remote-sensing papers in one place."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.logging import MMLogger, print_log
from mmseg.evaluation import IoUMetric
from prettytable import PrettyTable

from s5_mm.registry import METRICS

from .mask_writer import MaskWriter

# keep_results: what mmseg's test command sets beside output_dir, for Cityscapes.
_HOST_ARGUMENTS = {*inspect.signature(IoUMetric).parameters, 'keep_results'} - {
    'kwargs'
}


@METRICS.register_module()
class SegmentationMetric(IoUMetric):
    """mIoU with and without background, mF1, OA, and all of it per class.

    Counting and ``ignore_index`` are those of mmseg's ``IoUMetric``, in integers: mmseg
    counts in float32, where the count of a class stops at 2^24 pixels per image.  In
    per cent:

    * IoU_k = I_k / U_k, F1_k = 2 I_k / (P_k + T_k), Acc_k = I_k / T_k;
    * mIoU, mF1, mAcc: mean over the classes that occur in prediction or truth;
    * OA = sum I_k / sum T_k;
    * ``*_fg``: the same without the background class, the figure of the S5 release
      for iSAID (means and OA over classes 1..15).

    With ``output_dir`` the predicted masks are written, one PNG an image.  They hold
    the ids as the model says them plus ``id_offset``, whereas ``IoUMetric`` adds 1
    where the data set has ``reduce_zero_label``: LoveDA's server wants 0..6 although
    its masks are stored as 1..7.  ``format_only=True`` is for images without truth.

    Args:
        background: Index of the background class, None if there is none.
        per_class: Also return every class's figures, as ``IoU/<class>``.
        id_offset: Added to the ids of the written masks.
        archive: Flat zip of the written masks, relative to ``output_dir``, that the
            main process makes when all processes have written theirs.
        **kwargs: Arguments of ``IoUMetric`` (``ignore_index``, ``output_dir``,
            ``format_only``, ...).

    Raises:
        TypeError: If there is no such argument.
        ValueError: If ``archive`` or ``format_only`` comes without ``output_dir``.
    """

    #: What :class:`s5_mm.MultiDatasetMetric` averages and shows.
    headline = 'mIoU'
    columns = ('mIoU', 'mF1', 'OA')

    def __init__(
        self,
        background: int | None = None,
        per_class: bool = False,
        id_offset: int = 0,
        archive: str | None = None,
        **kwargs: Any,
    ) -> None:
        # The host swallows what it does not know.
        if unknown := sorted(kwargs.keys() - _HOST_ARGUMENTS):
            raise TypeError(
                f'SegmentationMetric has no arguments {unknown}; allowed are '
                "'background', 'per_class', 'id_offset', 'archive' and "
                f'{sorted(_HOST_ARGUMENTS)}'
            )
        super().__init__(**kwargs)
        self.background = background
        self.per_class = per_class
        if self.output_dir is None and (archive is not None or self.format_only):
            raise ValueError(
                f'archive={archive!r}, format_only={self.format_only}: expected an '
                'output_dir for the masks (--out of tools/test.py sets it)'
            )
        self.writer = None
        if self.output_dir is not None:
            self.writer = MaskWriter(self.output_dir, id_offset, archive)

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Count the pixels of a batch, and write its masks.

        ``results`` gets one entry an image: its areas, in pixels by class, of
        intersection, union, prediction and truth, each (K,), or None with
        ``format_only``; and its ``img_path`` if the mask was written, else None.

        Args:
            data_batch: Not used.
            data_samples: Samples as dicts, with ``pred_sem_seg``, ``gt_sem_seg``
                (both (1, H, W)), and for the masks ``img_path`` and ``ori_shape``.

        Raises:
            ValueError: If there is no truth, the truth has another size, or a mask
                cannot be written, see :meth:`MaskWriter.write`.
        """
        for sample in data_samples:
            predicted = _plane(sample['pred_sem_seg']['data'])
            areas = None if self.format_only else self._areas(sample, predicted)
            written = None
            if self.writer is not None:
                written = sample['img_path']
                size = sample.get('ori_shape')
                self.writer.write(
                    predicted.cpu().numpy(), written, size and tuple(size[:2])
                )
            self.results.append((areas, written))

    def _areas(self, sample: dict, predicted: torch.Tensor) -> tuple:
        """Count the pixels of an image."""
        name = sample.get('img_path', 'a sample')
        if sample.get('gt_sem_seg') is None:
            raise ValueError(
                f'{name} has no gt_sem_seg; for images without truth set '
                'format_only=True and output_dir'
            )
        truth = _plane(sample['gt_sem_seg']['data'])
        if truth.shape != predicted.shape:
            raise ValueError(
                f'{name}: predicted mask of {tuple(predicted.shape)} px, the truth '
                f'has {tuple(truth.shape)}'
            )
        return self.intersect_and_union(
            predicted,
            truth.to(predicted.device),
            len(self.dataset_meta['classes']),
            self.ignore_index,
        )

    @staticmethod
    def intersect_and_union(
        pred_label: torch.Tensor,
        label: torch.Tensor,
        num_classes: int,
        ignore_index: int,
    ) -> tuple[torch.Tensor, ...]:
        """Count pixels by class.

        Args:
            pred_label: Predicted class ids, any type, (H, W).
            label: True class ids on the same device, any type, (H, W).
            num_classes: K; ids outside of 0..K - 1 are not counted.
            ignore_index: Label of pixels that do not count.

        Returns:
            Areas of intersection, union, prediction and truth, int64, (K,), on CPU.
        """
        ignored = label == ignore_index
        both, predicted, truth = (
            _areas_by_class(ids, left_out, num_classes)
            for ids, left_out in (
                (label, ignored | (pred_label != label)),
                (pred_label, ignored),
                (label, ignored),
            )
        )
        return both, predicted + truth - both, predicted, truth

    def compute_metrics(self, results: Sequence[tuple]) -> dict[str, float]:
        """Compute the figures.

        Args:
            results: Of each image what :meth:`process` says.

        Returns:
            Figures in per cent by name; empty with ``format_only``.

        Raises:
            ValueError: If ``background`` is not one of the K classes, no pixel has a
                label, or two images of the same name were written.
            FileNotFoundError: If a mask for the archive is not there.
        """
        logger: MMLogger = MMLogger.get_current_instance()
        if self.writer is not None:
            archive = self.writer.finish(path for _, path in results)
            logger.info(f'{len(results)} masks are in {archive or self.writer.folder}')
        if self.format_only:
            return {}
        intersect, union, predicted, truth = (
            np.sum([np.asarray(area, dtype=np.int64) for area in areas], axis=0)
            for areas in zip(*(areas for areas, _ in results), strict=True)
        )
        if not truth.sum():
            raise ValueError(
                f'none of the {len(results)} images has a labelled pixel: check the '
                'masks and ignore_index'
            )
        with np.errstate(invalid='ignore', divide='ignore'):
            by_class = {
                'IoU': 100 * intersect / union,
                'F1': 200 * intersect / (predicted + truth),
                'Acc': 100 * intersect / truth,
            }
        every = np.arange(len(truth))
        figures = _means(by_class, intersect, truth, every, '')
        if self.background is not None:
            if not 0 <= self.background < len(truth):
                raise ValueError(
                    f'background is class {self.background}, allowed are 0 to '
                    f'{len(truth) - 1}'
                )
            rest = every[every != self.background]
            figures.update(_means(by_class, intersect, truth, rest, '_fg'))
        names = self.dataset_meta['classes']
        title = self.dataset_meta.get('dataset_name')
        print_log(_table(names, by_class, title), logger)
        if self.per_class:
            for figure, values in by_class.items():
                for name, value in zip(names, values, strict=True):
                    figures[f'{figure}/{name}'] = round(float(value), 2)
        return figures


def _areas_by_class(
    ids: torch.Tensor, left_out: torch.Tensor, num_classes: int
) -> torch.Tensor:
    """Count the ids 0..K - 1 where they are not left out, int64, (K,), on CPU."""
    if ids.dtype != torch.uint8 or num_classes > 255:
        ids = ids.long()
        left_out = left_out | (ids < 0)  # bincount refuses them
    # Filling a mask takes a tenth of the time of selecting by it.
    ids = ids.masked_fill(left_out, num_classes)
    return torch.bincount(ids.flatten(), minlength=num_classes)[:num_classes].cpu()


def _means(
    by_class: dict[str, np.ndarray],
    intersect: np.ndarray,
    truth: np.ndarray,
    classes: np.ndarray,
    suffix: str,
) -> dict[str, float]:
    """Means over some classes, rounded to 0.01."""
    figures = {
        f'm{name}{suffix}': float(np.nanmean(values[classes]))
        for name, values in by_class.items()
    }
    overall = 100 * intersect[classes].sum() / truth[classes].sum()
    figures[f'OA{suffix}'] = float(overall)
    return {name: round(value, 2) for name, value in figures.items()}


def _plane(data: torch.Tensor) -> torch.Tensor:
    """Drop the leading axis of a map, also where the map is a single row."""
    return data.reshape(data.shape[-2:])


def _table(
    names: Sequence[str], by_class: dict[str, np.ndarray], title: str | None
) -> str:
    """Table of the classes for the log, under the name of the data set."""
    table = PrettyTable(['Class', *by_class])
    table.align['Class'] = 'l'
    for name, *row in zip(names, *by_class.values(), strict=True):
        table.add_row([name, *(f'{value:.2f}' for value in row)])
    heading = f'{title}, per class' if title else 'per class'
    return f'{heading}, in %:\n{table.get_string()}'
