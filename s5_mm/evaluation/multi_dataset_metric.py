"""One evaluation over several data sets, each with classes and a metric of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.logging import MMLogger, print_log
from prettytable import PrettyTable

from s5_mm.registry import EVALUATOR, METRICS


@METRICS.register_module()
class MultiDatasetMetric(BaseMetric):
    """Hands every sample to the metric of its data set and averages the headlines.

    For one loader over :class:`s5_mm.MultiSourceDataset`: samples carry
    ``dataset_name``, and a batch may mix data sets.  The figures are called
    ``<data set>/<figure>``; ``average`` is the mean of the headline figures (the last
    column of the paper's Table 3).  Data sets without truth (``format_only``) have no
    figures and no part in it.  To keep the best checkpoint by it, the checkpoint hook
    needs ``save_best='average', rule='greater'``.

    The results of all data sets are collected in one list, in the order of the
    loader: where its sampler repeats samples to fill up the processes' shares, those
    at the end are the repeated ones and go, as with an ordinary metric.

    Args:
        metrics: Data set -> config of its metric (or the metric), usually
            :class:`s5_mm.SegmentationMetric` or :class:`s5_mm.OrientedMetric`.  Its
            own ``prefix`` and ``collect_device`` are not used.
        headline: Data set -> which of its figures counts in the average (the paper
            reports Potsdam as 'mF1').  Where nothing is said it is the ``headline``
            of the metric's class, 'mIoU' for a class without.  The log shows that,
            and what the class names in ``columns``.
        **kwargs: Arguments of mmengine's ``BaseMetric``.

    Raises:
        ValueError: If there is no metric, ``headline`` names another data set, or
            two data sets would write their predictions into the same folder.
    """

    def __init__(
        self,
        metrics: Mapping[str, Any],
        headline: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not metrics:
            raise ValueError('MultiDatasetMetric got no metrics, expected at least one')
        self.metrics: dict[str, BaseMetric] = {
            name: METRICS.build(dict(metric)) if isinstance(metric, Mapping) else metric
            for name, metric in metrics.items()
        }
        headline = dict(headline or {})
        if unknown := sorted(headline.keys() - self.metrics.keys()):
            raise ValueError(
                f'headline: data sets {unknown} found, allowed are {list(self.metrics)}'
            )
        self.headline = {
            name: headline.get(name, getattr(metric, 'headline', 'mIoU'))
            for name, metric in self.metrics.items()
        }
        owners: dict[str, str] = {}
        for name, metric in self.metrics.items():
            folder = getattr(metric, 'output_dir', None)
            if folder and owners.setdefault(folder, name) != name:
                raise ValueError(
                    f'data sets {owners[folder]!r} and {name!r} both have '
                    f'output_dir={folder!r}, expected a folder for each'
                )

    @property
    def dataset_meta(self) -> dict | None:
        """Meta information of the loader's data set."""
        return self._dataset_meta

    @dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict) -> None:
        """Hand each metric the meta information of its data set.

        Args:
            dataset_meta: Its ``datasets`` holds that of every data set by name; the
                metric gets it with the name added, as ``dataset_name``.

        Raises:
            ValueError: If the loader has other data sets than there are metrics for.
        """
        infos = dataset_meta.get('datasets') or {}
        if infos.keys() != self.metrics.keys():
            unmeasured = sorted(infos.keys() - self.metrics.keys())
            absent = sorted(self.metrics.keys() - infos.keys())
            raise ValueError(
                f'the loader has the data sets {list(infos)}, metrics are given for '
                f'{list(self.metrics)}: without metric {unmeasured}, without data set '
                f'{absent}; expected is a s5_mm.MultiSourceDataset with the same names'
            )
        self._dataset_meta = dataset_meta
        for name, metric in self.metrics.items():
            metric.dataset_meta = {**infos[name], 'dataset_name': name}

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Let the metric of its data set look at each sample.

        ``results`` gets one entry a sample, (data set, results of its metric), also
        where that metric keeps nothing: the places of the list are what tells the
        repeated samples of several processes.

        Args:
            data_batch: The batch, for metrics that read it.
            data_samples: Samples as dicts, with ``dataset_name``.

        Raises:
            ValueError: If a sample is of no data set that has a metric.
        """
        for sample in data_samples:
            name = sample.get('dataset_name')
            metric = None if name is None else self.metrics.get(name)
            if metric is None:
                raise ValueError(
                    f'{sample.get("img_path", "a sample")}: dataset_name={name!r} '
                    f'found, allowed are {list(self.metrics)}'
                )
            metric.process(data_batch, [sample])
            self.results.append((name, list(metric.results)))
            metric.results.clear()

    def compute_metrics(self, results: Sequence[tuple[str, list]]) -> dict[str, float]:
        """Compute the figures of all data sets and their average.

        Args:
            results: Of each sample what :meth:`process` says.

        Returns:
            ``<data set>/<figure>``, and ``average``, rounded to 0.01, if there is a
            data set with figures.

        Raises:
            ValueError: If no sample of a data set was evaluated, or a headline is none
                of its figures.
        """
        parts: dict[str, list] = {name: [] for name in self.metrics}
        for name, part in results:
            parts[name].append(part)
        figures: dict[str, dict[str, float]] = {}
        for name, metric in self.metrics.items():
            if not parts[name]:
                counts = {name: len(part) for name, part in parts.items()}
                raise ValueError(
                    f'no sample of the data set {name!r} was evaluated; samples by '
                    f'data set: {counts}'
                )
            flat = [result for part in parts[name] for result in part]
            figures[name] = dict(metric.compute_metrics(flat))
            if figures[name] and self.headline[name] not in figures[name]:
                raise ValueError(
                    f'headline of the data set {name!r} is {self.headline[name]!r}, '
                    f'its figures are {list(figures[name])}'
                )
        headlines = [own[self.headline[name]] for name, own in figures.items() if own]
        merged = {
            f'{name}/{figure}': value
            for name, own in figures.items()
            for figure, value in own.items()
        }
        if headlines:
            merged['average'] = round(float(np.mean(headlines)), 2)
        counts = {name: len(part) for name, part in parts.items()}
        table = self._table(figures, counts, merged.get('average'))
        print_log(table, MMLogger.get_current_instance())
        return merged

    def _table(
        self,
        figures: dict[str, dict[str, float]],
        counts: dict[str, int],
        average: float | None,
    ) -> str:
        """Table of the data sets for the log."""
        columns = [
            column
            for metric in self.metrics.values()
            for column in getattr(metric, 'columns', ())
        ]
        columns = list(dict.fromkeys((*columns, *self.headline.values())))
        table = PrettyTable(['Data set', 'images', *columns, 'headline'], align='r')
        table.align['Data set'] = 'l'
        for name, own in figures.items():
            cells = [
                f'{own[column]:.2f}{"*" if column == self.headline[name] else " "}'
                if column in own
                else '- '
                for column in columns
            ]
            headline = f'{own[self.headline[name]]:.2f}' if own else 'no truth'
            table.add_row(
                [name, counts[name], *cells, headline],
                divider=name == list(figures)[-1],
            )
        last = '-' if average is None else f'{average:.2f}'
        table.add_row(['average', '', *('' for _ in columns), last])
        return f'all data sets, in % (*: headline):\n{table.get_string()}'


@EVALUATOR.register_module(name='MultiDatasetMetric')
def _evaluator(**kwargs: Any) -> Evaluator:
    """Make the evaluator of ``val_evaluator=dict(type='s5_mm.MultiDatasetMetric')``.

    mmengine's runner takes a config with the key ``metrics`` for that of an evaluator
    and looks for its type among those.
    """
    return Evaluator(MultiDatasetMetric(**kwargs))
