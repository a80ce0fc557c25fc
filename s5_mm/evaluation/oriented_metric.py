"""Figures of oriented detection in one place: VOC2007 and VOC2012, at 0.5 and 0.75."""

from __future__ import annotations

import inspect
import logging
import os
import os.path as osp
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger, print_log
from prettytable import PrettyTable

from s5_mm.registry import METRICS

from .dota_submission import DotaSubmission
from .oriented_ap import Detections, Objects, OrientedAP, oriented_ap
from .oriented_samples import sample_detections, sample_objects
from .patch_merging import PatchMerger
from .whole_image_objects import read_image_objects

_MERGE_ARGUMENTS = (*inspect.signature(PatchMerger).parameters, 'ann_dir')
Result = tuple[str, Detections, Objects | None]


@METRICS.register_module()
class OrientedMetric(BaseMetric):
    """AP of oriented boxes under both VOC rules, and the files of a submission.

    In per cent: ``AP07`` and ``AP12`` are the means, over the classes with objects, of
    the AP under the 11-point and the area rule at IoU 0.5; ``AP07_75``, ``AP12_75`` the
    same at 0.75.  The matching is that of mmrotate, see :mod:`.oriented_ap`.

    With ``merge`` the samples are patches: they are put together first, and the objects
    are those of the whole images; without ``ann_dir`` there are no figures.  With
    ``output_dir`` the detections are written for DOTA's server, those of other data
    sets in the same form.  ``format_only=True`` is for images without truth.

    Args:
        iou_thrs: IoU thresholds in 0..1, one of them 0.5.
        per_class: Also return every class's figures, as ``AP07/<class>``.
        merge: Arguments of :class:`PatchMerger` and ``ann_dir``, the folder of DOTA
            text files of the whole images.
        output_dir: Where the files go.
        archive: Zip of the files, relative to ``output_dir``.
        format_only: Whether to write files and compute no figures.
        keep_results: As the test command sets it beside ``output_dir``; the files are
            kept in any case.
        **kwargs: Arguments of mmengine's ``BaseMetric``.

    Raises:
        TypeError: If ``merge`` has an unknown argument.
        ValueError: If an argument is out of its range, or there would be neither
            figures nor files.
        FileNotFoundError: If there is no folder ``ann_dir``.
    """

    #: What :class:`s5_mm.MultiDatasetMetric` averages and shows.
    headline = 'AP07'
    columns = ('AP07', 'AP12', 'AP12_75')

    def __init__(
        self,
        iou_thrs: Sequence[float] = (0.5, 0.75),
        per_class: bool = False,
        merge: dict | None = None,
        output_dir: str | None = None,
        archive: str = 'Task1.zip',
        format_only: bool = False,
        keep_results: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.iou_thrs = sorted({float(iou_thr) for iou_thr in iou_thrs})
        if (
            0.5 not in self.iou_thrs
            or not 0 < self.iou_thrs[0] <= self.iou_thrs[-1] < 1
        ):
            raise ValueError(
                f'iou_thrs={iou_thrs}, allowed are numbers between 0 and 1, one of '
                'them 0.5'
            )
        self.per_class = per_class
        self.format_only = format_only
        self.output_dir = output_dir
        merge = None if merge is None else dict(merge)
        if unknown := sorted((merge or {}).keys() - set(_MERGE_ARGUMENTS)):
            raise TypeError(
                f'merge has no arguments {unknown}; allowed are {_MERGE_ARGUMENTS}'
            )
        self.ann_dir = merge.pop('ann_dir', None) if merge else None
        self.merger = None if merge is None else PatchMerger(**merge)
        if self.ann_dir is not None and not osp.isdir(self.ann_dir):
            raise FileNotFoundError(
                f'merge: there is no folder ann_dir={self.ann_dir!r}'
            )
        without_truth = format_only or (merge is not None and self.ann_dir is None)
        if without_truth and output_dir is None:
            raise ValueError(
                f'format_only={format_only}, merge={merge} without ann_dir: there are '
                'no figures, expected an output_dir for the files (--out of '
                'tools/test.py sets it)'
            )
        self.without_truth = without_truth
        self.writer = None
        if output_dir is not None:
            self.writer = DotaSubmission(output_dir, archive)

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep what was found in a batch, and what there is.

        ``results`` gets one entry an image: its ``img_path``, the detections, and the
        objects, None where they are not those of the sample.

        Args:
            data_batch: Not used.
            data_samples: Samples as dicts, see :func:`sample_detections` and
                :func:`sample_objects`.

        Raises:
            ValueError: If there is no truth, a box is not (cx, cy, w, h, angle in
                radians), or a label is no class.
        """
        num_classes = len(self._classes())
        for sample in data_samples:
            objects = None
            if not self.without_truth and self.merger is None:
                objects = sample_objects(sample, num_classes)
            found = sample_detections(sample, num_classes)
            self.results.append((sample['img_path'], found, objects))

    def _classes(self) -> Sequence[str]:
        """Names of the classes."""
        classes = (self.dataset_meta or {}).get('classes')
        if not classes:
            raise ValueError(
                f'OrientedMetric: dataset_meta={self.dataset_meta}, expected the names '
                "of the classes in its 'classes'; give them in the data set's metainfo"
            )
        return classes

    def compute_metrics(self, results: Sequence[Result]) -> dict[str, float]:
        """Compute the figures and write the files.

        Args:
            results: Of each image what :meth:`process` says.

        Returns:
            Figures in per cent by name, rounded to 0.01; empty without truth.

        Raises:
            ValueError: If there is no object, two images have the same name, one would
                be written twice, or the name of a patch cannot be read.
            FileNotFoundError: If ``ann_dir`` lacks an image.
        """
        logger: MMLogger = MMLogger.get_current_instance()
        classes = self._classes()
        images = [
            (found, objects) for _, found, objects in results if objects is not None
        ]
        if self.writer is not None or self.merger is not None:
            by_name = self._by_name(results)
            if self.merger is not None:
                by_name = self.merger.merge(by_name)
                images = []
            if self.writer is not None:
                archive = self.writer.write(by_name, classes)
                logger.info(f'detections of {len(by_name)} images are in {archive}')
            if self.ann_dir is not None:
                self._name_absent(by_name)
                images = [
                    (found, read_image_objects(self.ann_dir, name, classes))
                    for name, found in by_name.items()
                ]
        if self.without_truth:
            return {}
        by_class = oriented_ap(images, len(classes), self.iou_thrs)
        if not by_class.num_gts.any():
            raise ValueError(
                f'none of the {len(images)} images has an object that is not ignored: '
                'check the annotations'
            )
        title = self.dataset_meta.get('dataset_name')
        print_log(_table(classes, by_class, self.iou_thrs, title), logger)
        return self._figures(classes, by_class)

    def _by_name(self, results: Sequence[Result]) -> dict[str, Detections]:
        """Detections by the name of the image, each of another one."""
        times = Counter(img_path for img_path, *_ in results)
        repeated = [img_path for img_path, count in times.items() if count > 1]
        if repeated and self.writer is not None:
            raise ValueError(
                f'{self.writer.archive}: {len(repeated)} images were predicted more '
                f'than once, {repeated[:5]}; if one stands in for an image that cannot '
                'be read, the archive would lack that image'
            )
        sources: dict[str, str] = {}
        by_name = {}
        for img_path, found, _ in results:
            name = osp.splitext(osp.basename(img_path))[0]
            if sources.setdefault(name, img_path) != img_path:
                raise ValueError(
                    f'{sources[name]} and {img_path}: both images are called {name}; '
                    'expected images of different names, evaluate them one folder at '
                    'a time'
                )
            by_name[name] = found
        return by_name

    def _name_absent(self, images: dict[str, Detections]) -> None:
        """Say which images no patch is of: their objects are not missed."""
        names = (osp.splitext(entry) for entry in sorted(os.listdir(self.ann_dir)))
        absent = [
            name for name, suffix in names if suffix == '.txt' and name not in images
        ]
        if absent:
            print_log(
                f'{self.ann_dir}: {len(absent)} images have no patch and are left out '
                f'of the figures, {absent[:5]}',
                MMLogger.get_current_instance(),
                logging.WARNING,
            )

    def _figures(
        self, classes: Sequence[str], by_class: OrientedAP
    ) -> dict[str, float]:
        """Means over the classes with objects, and their own figures."""
        figures = {}
        for t, iou_thr in enumerate(self.iou_thrs):
            suffix = '' if iou_thr == 0.5 else f'_{100 * iou_thr:g}'
            for rule, values in (('AP07', by_class.ap07), ('AP12', by_class.ap12)):
                figure = f'{rule}{suffix}'
                figures[figure] = round(100 * float(np.nanmean(values[t])), 2)
                if self.per_class:
                    for k in np.flatnonzero(by_class.num_gts):
                        value = round(100 * float(values[t, k]), 2)
                        figures[f'{figure}/{classes[k]}'] = value
        return figures


def _table(
    classes: Sequence[str],
    by_class: OrientedAP,
    iou_thrs: Sequence[float],
    title: str | None,
) -> str:
    """Table of the classes for the log, under the name of the data set."""
    columns = {'recall': by_class.recall[iou_thrs.index(0.5)]}
    for t, iou_thr in enumerate(iou_thrs):
        columns[f'AP07@{100 * iou_thr:g}'] = by_class.ap07[t]
        columns[f'AP12@{100 * iou_thr:g}'] = by_class.ap12[t]
    table = PrettyTable(['Class', 'gts', 'dets', *columns], align='r')
    table.align['Class'] = 'l'
    for k, name in enumerate(classes):
        cells = [100 * values[k] for values in columns.values()]
        table.add_row(
            [name, by_class.num_gts[k], by_class.num_dets[k]]
            + ['-' if np.isnan(cell) else f'{cell:.2f}' for cell in cells],
            divider=k == len(classes) - 1,
        )
    means = [f'{100 * np.nanmean(values):.2f}' for values in columns.values()]
    table.add_row(['mean', by_class.num_gts.sum(), by_class.num_dets.sum(), *means])
    heading = f'{title}, per class' if title else 'per class'
    return f'{heading}, in %:\n{table.get_string()}'
