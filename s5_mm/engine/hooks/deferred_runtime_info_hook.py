"""Logged scalars that stay on the device until they are read."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import torch
from mmengine.hooks import RuntimeInfoHook
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.runner import Runner

from s5_mm.registry import HOOKS

from .log_interval import check_interval, logger_interval


@HOOKS.register_module()
class DeferredRuntimeInfoHook(RuntimeInfoHook):
    """Record the losses of every iteration without waiting for the device.

    The host's hook calls ``.item()`` on every logged tensor of every iteration, and
    each call waits until the device has finished.  Here the scalars of an iteration
    are gathered in one small tensor on their device; the message hub receives them in
    one transfer at the logger's interval, before a checkpoint, before validation and
    at the end.  The histories are equal to the host's, value by value, and grow by
    whole intervals: the host copies a history to append one value (0.6 ms a scalar and
    iteration at iteration 100,000, measured).

    It also receives what an optimizer wrapper of s5_mm left for it (the norm of the
    gradient), which the host reads back in every iteration as well.

    Args:
        interval: Iterations between two transfers; ``None`` takes the interval of the
            runner's ``LoggerHook``.
    """

    def __init__(self, interval: int | None = None) -> None:
        super().__init__()
        check_interval(self, interval)
        self.interval = interval
        self._rows: list[_Row] = []
        self._rates: dict[str, Any] = {}

    def before_train(self, runner: Runner) -> None:
        """Take the logger's interval.

        Args:
            runner: The runner of the training process.
        """
        super().before_train(runner)
        if self.interval is None:
            self.interval = logger_interval(runner)
        if hasattr(runner.optim_wrapper, 'defer_scalars'):
            runner.optim_wrapper.defer_scalars = True

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None
    ) -> None:
        """Keep the learning rates of this iteration.

        Args:
            runner: The runner of the training process.
            batch_idx: Index of the batch.
            data_batch: Not used.
        """
        runner.message_hub.update_info('iter', runner.iter)
        rates = runner.optim_wrapper.get_lr()
        self._rates = {f'train/{name}': rate[0] for name, rate in rates.items()}

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: dict[str, Any] | None = None,
    ) -> None:
        """Keep the scalars of this iteration.

        Args:
            runner: The runner of the training process.
            batch_idx: Index of the batch.
            data_batch: Not used.
            outputs: Scalars by name: tensors of one element on any device, numpy or
                Python numbers.

        Raises:
            ValueError: A tensor has more than one element.
        """
        scalars, self._rates = self._rates, {}
        scalars.update(getattr(runner.optim_wrapper, 'deferred_scalars', {}))
        scalars.update({f'train/{key}': v for key, v in (outputs or {}).items()})
        if scalars:
            self._rows.append(_Row(scalars))
        if self.every_n_inner_iters(batch_idx, self.interval) or (
            runner.iter + 1 >= runner.max_iters
        ):
            self.flush(runner.message_hub)

    def before_val(self, runner: Runner) -> None:
        """Bring the histories up to date.

        Args:
            runner: The runner of the training process.
        """
        self.flush(runner.message_hub)
        super().before_val(runner)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Bring the histories in the checkpoint up to date.

        Args:
            runner: The runner of the training process.
            checkpoint: What is going to be saved; changed in place.
        """
        if self._rows:
            # The host has copied the histories before it calls this.
            self.flush(runner.message_hub)
            checkpoint['message_hub'] = runner.message_hub.state_dict()

    def after_train(self, runner: Runner) -> None:
        """Bring the histories up to date.

        Args:
            runner: The runner of the training process.
        """
        self.flush(runner.message_hub)
        super().after_train(runner)

    def flush(self, hub: MessageHub) -> None:
        """Move what is kept to the message hub, one transfer a device.

        Args:
            hub: The message hub.
        """
        rows, self._rows = self._rows, []
        packed = defaultdict(list)
        for row in rows:
            for device, tensor in row.tensors.items():
                packed[device].append(tensor)
        values = {
            device: iter(torch.cat(tensors).tolist())
            for device, tensors in packed.items()
        }
        history = defaultdict(list)
        for row in rows:
            for key, value, place, restore in row.entries:
                history[key].append(
                    value if place is None else restore(next(values[place]))
                )
        for key, new in history.items():
            _extend(hub, key, new)


def _extend(hub: MessageHub, key: str, values: list[Any]) -> None:
    """Append to a history what one ``update_scalar`` for each value would."""
    hub.update_scalar(key, values[0])
    if len(values) == 1:
        return
    old = hub.get_scalar(key)
    log, counts = old.data
    hub.log_scalars[key] = HistoryBuffer(
        np.append(log, values[1:])[-old.max_length :],
        np.append(counts, np.ones(len(values) - 1, int))[-old.max_length :],
        max_length=old.max_length,
    )


class _Row:
    """The scalars of one iteration, tensors gathered per device.

    Args:
        scalars: Scalars by their key in the message hub.
    """

    def __init__(self, scalars: dict[str, Any]) -> None:
        self.entries: list[tuple[str, Any, torch.device | None, type]] = []
        loose = defaultdict(list)
        for key, value in scalars.items():
            if isinstance(value, (np.ndarray, np.generic)):
                value = value.item()
            if not isinstance(value, torch.Tensor):
                self.entries.append((key, value, None, float))
                continue
            if value.numel() != 1:
                raise ValueError(
                    f'{key} is logged as a tensor of shape {tuple(value.shape)}; '
                    'expected one element'
                )
            # Float64 holds every value of the smaller types, and integers to 2^53.
            loose[value.device].append(value.detach().reshape(1).double())
            self.entries.append((key, None, value.device, _python_type(value)))
        # A copy: the model may change its tensors in place before the transfer.
        self.tensors = {device: torch.cat(v) for device, v in loose.items()}


def _python_type(value: torch.Tensor) -> type:
    """Give the type that ``value.item()`` would have."""
    if value.dtype == torch.bool:
        return bool
    return float if value.dtype.is_floating_point else int
