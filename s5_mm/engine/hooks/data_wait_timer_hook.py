"""The share of a training that waits for data."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import IterTimerHook
from mmengine.runner import Runner

from s5_mm.registry import HOOKS

from .log_interval import check_interval, logger_interval


@HOOKS.register_module()
class DataWaitTimerHook(IterTimerHook):
    """The host's timer, which also logs ``data_time_share``.

    ``data_time_share`` is the sum of ``data_time`` over the sum of ``time`` since the
    last log point, between 0 and 1. The means that the host logs are over a window of
    its own, ten iterations, whatever the interval. Only clocks are read; the device is
    not waited for.

    Args:
        interval: Iterations between two values; None takes the interval of the
            runner's ``LoggerHook``.

    Raises:
        ValueError: ``interval`` is smaller than 1.
    """

    def __init__(self, interval: int | None = None) -> None:
        super().__init__()
        check_interval(self, interval)
        self.interval = interval
        self._waited = self._passed = 0.0

    def before_train(self, runner: Runner) -> None:
        """Take the logger's interval.

        Args:
            runner: The runner of the training process.
        """
        super().before_train(runner)
        if self.interval is None:
            self.interval = logger_interval(runner)

    def _after_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Any = None,
        mode: str = 'train',
    ) -> None:
        """Time an iteration, and log the share at the end of an interval.

        Args:
            runner: The runner of the process.
            batch_idx: Index of the batch.
            data_batch: Not used.
            outputs: Not used.
            mode: 'train', 'val' or 'test'; only 'train' has the share.
        """
        super()._after_iter(runner, batch_idx, data_batch, outputs, mode)
        if mode != 'train':
            return
        hub = runner.message_hub
        self._waited += hub.get_scalar('train/data_time').current()
        self._passed += hub.get_scalar('train/time').current()
        last = runner.iter + 1 >= runner.max_iters
        if self.every_n_inner_iters(batch_idx, self.interval) or last:
            hub.update_scalar(
                'train/data_time_share', self._waited / max(self._passed, 1e-9)
            )
            self._waited = self._passed = 0.0
