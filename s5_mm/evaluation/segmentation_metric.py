"""Segmentation figures of the remote-sensing papers in one place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.logging import MMLogger, print_log
from mmseg.evaluation import IoUMetric
from prettytable import PrettyTable

from s5_mm.registry import METRICS


@METRICS.register_module()
class SegmentationMetric(IoUMetric):
    """mIoU with and without background, mF1, OA, and all of it per class.

    Counting, saving of predictions and ``ignore_index`` are those of mmseg's
    ``IoUMetric``.  In per cent:

    * IoU_k = I_k / U_k, F1_k = 2 I_k / (P_k + T_k), Acc_k = I_k / T_k;
    * mIoU, mF1, mAcc: mean over the classes that occur in prediction or truth;
    * OA = sum I_k / sum T_k;
    * ``*_fg``: the same without the background class, the figure of the S5 release
      for iSAID (means and OA over classes 1..15).

    Args:
        background: Index of the background class, None if there is none.
        per_class: Also return every class's figures, as ``IoU/<class>``.
        **kwargs: Arguments of ``IoUMetric`` (``ignore_index``, ``output_dir``,
            ``format_only``, ...).
    """

    def __init__(
        self, background: int | None = None, per_class: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.background = background
        self.per_class = per_class

    def compute_metrics(self, results: Sequence[tuple]) -> dict[str, float]:
        """Compute the figures.

        Args:
            results: For each image the areas, in pixels by class, of intersection,
                union, prediction and truth, each (K,).

        Returns:
            Figures in per cent by name; empty with ``format_only``.

        Raises:
            ValueError: If ``background`` is not one of the K classes, or no pixel
                has a label.
        """
        logger: MMLogger = MMLogger.get_current_instance()
        if self.format_only:
            logger.info(f'Predictions are in {self.output_dir}')
            return {}
        intersect, union, predicted, truth = (
            np.sum([np.asarray(area, dtype=np.float64) for area in areas], axis=0)
            for areas in zip(*results, strict=True)
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
        print_log(_table(names, by_class), logger)
        if self.per_class:
            for figure, values in by_class.items():
                for name, value in zip(names, values, strict=True):
                    figures[f'{figure}/{name}'] = round(float(value), 2)
        return figures


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


def _table(names: Sequence[str], by_class: dict[str, np.ndarray]) -> str:
    """Table of the classes for the log."""
    table = PrettyTable(['Class', *by_class])
    table.align['Class'] = 'l'
    for name, *row in zip(names, *by_class.values(), strict=True):
        table.add_row([name, *(f'{value:.2f}' for value in row)])
    return f'per class, in %:\n{table.get_string()}'
