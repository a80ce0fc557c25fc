"""How far a training is between two lines of the logger."""

from __future__ import annotations

import time
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from s5_mm.registry import HOOKS
from s5_mm.utils.argument_checks import check_number

from .log_interval import logger_interval


@HOOKS.register_module()
class TrainProgressHook(Hook):
    """Logs the number of the iteration where the logger's next line is far.

    ``LoggerHook`` counts iterations.  On a slow or busy machine its interval takes
    minutes, in which a training that works looks like one that hangs.

    Args:
        every: Seconds without a line of the logger or of this hook.

    Raises:
        ValueError: If it is negative.
    """

    def __init__(self, every: float = 15.0) -> None:
        self.every = check_number('TrainProgressHook: every', every, 0)
        self._last = 0.0

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None
    ) -> None:
        """Start the clock at the first iteration.

        Args:
            runner: The runner of the process.
            batch_idx: Not used.
            data_batch: Not used.
        """
        self._last = self._last or time.monotonic()

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: dict | None = None,
    ) -> None:
        """Log a line if nothing was logged for long.

        Args:
            runner: The runner of the process.
            batch_idx: Iterations of the epoch before this one, as the logger counts.
            data_batch: Not used.
            outputs: Not used.
        """
        now = time.monotonic()
        if self.every_n_inner_iters(batch_idx, logger_interval(runner)):
            self._last = now
        elif now - self._last >= self.every:
            self._last = now
            total = str(runner.max_iters)
            runner.logger.info(f'Iter(train) [{runner.iter + 1:>{len(total)}}/{total}]')

    def after_val_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        """Start the clock anew, the validation has logged its figures."""
        self._last = time.monotonic()
