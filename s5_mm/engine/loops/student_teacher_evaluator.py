"""The figures of two networks that predict the same images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.evaluator import Evaluator
from mmengine.logging import MMLogger

# Arguments of metrics that write files, and those of metrics that only do.
_WRITES = ('output_dir', 'archive', 'keep_results')
_ONLY_WRITES = ('format_only', 'out_file_path')


class StudentTeacherEvaluator(Evaluator):
    """Evaluates the network that predicts, and the other one next to it.

    The predicting network's figures keep their names (``mIoU``), the other's get its
    own in front (``teacher/mIoU``).  Each network's figures are also logged in a line.

    Args:
        own: Evaluator of the predicting network.
        other: Evaluator of the other network.
        names: Of the two networks, the predicting one first.
    """

    def __init__(
        self, own: Evaluator, other: Evaluator, names: tuple[str, str]
    ) -> None:
        super().__init__(own.metrics)
        self.own, self.other, self.names = own, other, names

    @property
    def dataset_meta(self) -> dict | None:
        """Meta information of the data set."""
        return self._dataset_meta

    @dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict) -> None:
        """Hand the meta information on, with the network in the tables' titles."""
        self._dataset_meta = dataset_meta
        for evaluator, name in zip((self.own, self.other), self.names, strict=True):
            title = ', '.join(filter(None, (dataset_meta.get('dataset_name'), name)))
            evaluator.dataset_meta = {**dataset_meta, 'dataset_name': title}

    def process(self, data_samples: Sequence, data_batch: Any = None) -> None:
        """Take the predictions of the predicting network.

        Args:
            data_samples: Of one batch, with the truth.
            data_batch: The batch.
        """
        self.own.process(data_samples=data_samples, data_batch=data_batch)

    def process_other(self, data_samples: Sequence, data_batch: Any = None) -> None:
        """Take the predictions of the other network; arguments as :meth:`process`."""
        self.other.process(data_samples=data_samples, data_batch=data_batch)

    def evaluate(self, size: int) -> dict[str, Any]:
        """Compute and log the figures of both networks.

        Args:
            size: Length of the data set.

        Returns:
            Figures by name, those of the predicting network first.
        """
        logger: MMLogger = MMLogger.get_current_instance()
        own_figures, other_figures = self.own.evaluate(size), self.other.evaluate(size)
        for name, figures in zip(self.names, (own_figures, other_figures), strict=True):
            logger.info(f'{name}: {_summary(figures)}')
        prefix = self.names[1]
        return own_figures | {
            f'{prefix}/{key}': value for key, value in other_figures.items()
        }


def without_files(evaluator: Any) -> Any:
    """Leave out of an evaluator's config what writes files.

    Args:
        evaluator: Config of an evaluator: a metric, a list of metrics, or a dict with
            the key ``metrics``.

    Returns:
        A copy whose metrics only make figures; None if none of them does.
    """
    if isinstance(evaluator, Mapping):
        if any(evaluator.get(key) for key in _ONLY_WRITES):
            return None
        kept = {key: own for key, own in evaluator.items() if key not in _WRITES}
        metrics = kept.get('metrics')
        if isinstance(metrics, Mapping) and 'type' not in metrics:  # by data set
            parts = {name: without_files(own) for name, own in metrics.items()}
            kept['metrics'] = {name: own for name, own in parts.items() if own}
        elif metrics is not None:
            kept['metrics'] = without_files(metrics)
        return kept if kept.get('metrics', True) else None
    return [own for own in map(without_files, evaluator) if own] or None


def _summary(figures: Mapping[str, Any]) -> str:
    """Write the figures of all classes, or all figures if there are no such."""
    numbers = {key: own for key, own in figures.items() if isinstance(own, int | float)}
    overall = {key: own for key, own in numbers.items() if '/' not in key}
    return ', '.join(f'{key} {own:.2f}' for key, own in (overall or numbers).items())
