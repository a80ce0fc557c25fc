"""How far a validation or a test is."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from s5_mm.registry import HOOKS
from s5_mm.utils.argument_checks import check_number


@HOOKS.register_module()
class EvalProgressHook(Hook):
    """Logs every few seconds how many batches of an evaluation are done.

    mmengine's ``LoggerHook`` logs every 50th batch, which is never for a small data set
    and every few minutes for large images.

    Args:
        every: Seconds between two lines.

    Raises:
        ValueError: If it is negative.
    """

    def __init__(self, every: float = 10.0) -> None:
        self.every = check_number('EvalProgressHook: every', every, 0)
        self._start = self._last = 0.0

    def before_val_epoch(self, runner: Runner) -> None:
        """Start the clock.

        Args:
            runner: The runner of the process.
        """
        self._start = self._last = time.monotonic()

    before_test_epoch = before_val_epoch

    def after_val_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Sequence | None = None,
    ) -> None:
        """Log a line of the validation if it is time to.

        Args:
            runner: The runner of the process.
            batch_idx: Batches done before this one.
            data_batch: Not used.
            outputs: Not used.
        """
        self._log(runner, 'val', batch_idx + 1, len(runner.val_dataloader))

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Sequence | None = None,
    ) -> None:
        """Log a line of the test if it is time to; arguments as for validation."""
        self._log(runner, 'test', batch_idx + 1, len(runner.test_dataloader))

    def _log(self, runner: Runner, mode: str, done: int, total: int) -> None:
        """Log how many batches of ``total`` are done."""
        now = time.monotonic()
        if now - self._last < self.every:
            return
        self._last = now
        left = (now - self._start) / done * (total - done)
        runner.logger.info(
            f'Iter({mode}) [{done:>{len(str(total))}}/{total}]    eta: '
            f'{timedelta(seconds=round(left))}'
        )
