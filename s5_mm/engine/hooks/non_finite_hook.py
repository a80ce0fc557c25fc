"""Skip updates with a non-finite loss, and stop where there are too many."""

from __future__ import annotations

from collections import deque
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor, nn

from s5_mm.registry import HOOKS
from s5_mm.utils.argument_checks import check_number

from .finite_weights import last_sane
from .log_interval import check_interval, logger_interval

_SHOWN = 5  # iterations named in a warning


@HOOKS.register_module()
class NonFiniteHook(Hook):
    """Keep NaN and infinite losses and gradients out of the model.

    The optimizer wrappers of s5_mm skip such an update on all processes
    (:class:`s5_mm.engine.optimizers.NonFiniteGuard`); this hook turns that on.  Batch
    statistics that such an iteration has touched go back to what they were before it,
    so nothing of it reaches an averaged model or a checkpoint.  Skipped updates are
    counted on the device and read at the logger's interval: a warning names the
    iterations, and the run stops when too many were skipped.

    Args:
        max_rate: Share of the last ``window`` updates (of all so far, while there are
            fewer) above which the run stops.  One or two skipped updates stop a run
            only if it has made no others.
        window: Number of updates that the share refers to; each process counts from
            its start.
        interval: Iterations between two readings; None takes the logger's.

    Raises:
        ValueError: An argument is out of its range.
        FloatingPointError: From :meth:`after_train_iter`, on all processes.
    """

    # Before averaged models (NORMAL) and checkpoints (VERY_LOW) see the iteration.
    priority = 'ABOVE_NORMAL'

    def __init__(
        self, max_rate: float = 0.1, window: int = 100, interval: int | None = None
    ) -> None:
        check_number('NonFiniteHook: max_rate', max_rate, 0, 1)
        check_number('NonFiniteHook: window', window, 1)
        check_interval(self, interval)
        self.max_rate, self.interval = max_rate, interval
        self._pending: list[tuple[int, Tensor]] = []
        self._recent: deque[tuple[int, bool]] = deque(maxlen=window)
        self._statistics: _BatchStatistics | None = None

    def before_train(self, runner: Runner) -> None:
        """Turn the guard of the optimizer wrapper on.

        Args:
            runner: The runner of the training process.
        """
        if self.interval is None:
            self.interval = logger_interval(runner)
        wrapper = runner.optim_wrapper
        if not hasattr(wrapper, 'skip_non_finite'):
            runner.logger.warning(
                f'optim_wrapper.type is {type(wrapper).__name__}: updates with a '
                'non-finite loss or gradient are not skipped, only s5_mm.OptimWrapper '
                'and s5_mm.AmpOptimWrapper can do that'
            )
            return
        wrapper.skip_non_finite = True
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        self._statistics = _BatchStatistics(model)

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: dict[str, Any] | None = None,
    ) -> None:
        """Take back what a bad iteration did, and count at the logger's interval.

        Args:
            runner: The runner of the training process.
            batch_idx: Index of the batch.
            data_batch: Not used.
            outputs: Not used.

        Raises:
            FloatingPointError: Too many updates were skipped.
        """
        if self._statistics is None:
            return
        wrapper = runner.optim_wrapper
        if wrapper.non_finite is not None:  # None where the step took no loss
            self._statistics.restore(wrapper.non_finite)
            if wrapper.should_update():
                self._pending.append((runner.iter + 1, wrapper.non_finite))
        if self.every_n_train_iters(runner, self.interval) or (
            runner.iter + 1 >= runner.max_iters
        ):
            self._count(runner)

    def _count(self, runner: Runner) -> None:
        """Read the flags since the last time, in one transfer; warn or stop."""
        if not self._pending:
            return
        iterations, flags = zip(*self._pending, strict=True)
        self._pending.clear()
        found = [flag > 0 for flag in torch.stack(flags).tolist()]
        self._recent.extend(zip(iterations, found, strict=True))
        bad = [number for number, skip in zip(iterations, found, strict=True) if skip]
        if not bad:
            return
        more = f' and {len(bad) - _SHOWN} more' if len(bad) > _SHOWN else ''
        runner.logger.warning(
            f'{len(bad)} of {len(iterations)} updates were skipped, their loss or '
            f'gradient was not finite: iteration {", ".join(map(str, bad[:_SHOWN]))}'
            f'{more}'
        )
        seen, skipped = len(self._recent), [n for n, skip in self._recent if skip]
        if len(skipped) == seen or len(skipped) > max(2, self.max_rate * seen):
            raise FloatingPointError(
                f'{len(skipped)} of the last {seen} updates had a non-finite loss or '
                f'gradient, the first at iteration {skipped[0]}; '
                f'default_hooks.non_finite.max_rate={self.max_rate:g} allows '
                f'{self.max_rate:.0%}. They were skipped. {last_sane(runner)}. Lower '
                'optim_wrapper.optimizer.lr, set optim_wrapper.clip_grad, or check the '
                'data, then go on with --resume'
            )


class _BatchStatistics:
    """The running statistics of a model's normalisation layers, and a copy of them.

    Args:
        model: The model, on its device.
    """

    def __init__(self, model: nn.Module) -> None:
        self._tensors = [
            tensor
            for module in model.modules()
            for name in ('running_mean', 'running_var')
            if isinstance(tensor := getattr(module, name, None), Tensor)
        ]
        self._saved = [tensor.clone() for tensor in self._tensors]

    @torch.no_grad()
    def restore(self, bad: Tensor) -> None:
        """Take back an iteration that was bad or whose statistics are not finite.

        Args:
            bad: Whether the iteration was bad, 1 or 0, scalar on the device.
        """
        if not self._tensors:
            return
        new, old = (torch.cat(some) for some in (self._tensors, self._saved))
        good = torch.where(new.isfinite().all() & (bad == 0), new, old)
        parts = good.split([len(tensor) for tensor in self._tensors])
        torch._foreach_copy_(self._tensors, list(parts))
        torch._foreach_copy_(self._saved, list(parts))
