"""When pictures of predictions are drawn, and where they go."""

from __future__ import annotations

import os.path as osp
from abc import abstractmethod
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.dist import get_dist_info, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement
from mmengine.visualization import LocalVisBackend

from s5_mm.utils.argument_checks import check_number
from s5_mm.visualization import palette_of

_PER_VALIDATION = 4


class PanelHook(Hook):
    """Base of the hooks that draw validation and test samples.

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
        self.draw = draw
        self.interval = check_number('interval', interval, 1)
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
        outputs: Sequence[BaseDataElement] = (),
    ) -> None:
        """Draw samples of a validation batch.

        Args:
            runner: The runner.
            batch_idx: Not used.
            data_batch: Not used.
            outputs: Samples with their predictions, in the coordinates of the image
                of ``img_path``, and perhaps the ground truth.

        Raises:
            ValueError: If what a sample holds does not fit its image or its data set.
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
        outputs: Sequence[BaseDataElement] = (),
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

    def _is_due(self, sample: BaseDataElement, most: int | None) -> bool:
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
        sample: BaseDataElement,
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

    @abstractmethod
    def _panel(self, sample: BaseDataElement, info: dict) -> np.ndarray:
        """Draw a sample.

        Args:
            sample: The sample.
            info: ``classes`` and ``palette`` of its data set.

        Returns:
            uint8 (H, W, 3) RGB.
        """


def _info_of(dataset: str | None, metainfo: dict, path: str) -> dict:
    """Classes and palette of the data set of a sample."""
    datasets = metainfo.get('datasets')
    if dataset is not None and datasets is not None and dataset not in datasets:
        raise ValueError(
            f'{path}: dataset_name={dataset!r} found, the loader has {list(datasets)}'
        )
    info = metainfo if dataset is None or datasets is None else datasets[dataset]
    if not info.get('classes'):
        raise ValueError(
            f'{path}: metainfo of the data set {dataset or ""!r} has no classes, '
            'which its pictures need'
        )
    return {**info, 'palette': palette_of(info)}
