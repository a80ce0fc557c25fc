"""Leave in good order when the scheduler asks for the machine."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Sequence
from functools import partial
from types import FrameType
from typing import Any

import torch
from mmengine.dist import is_distributed
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import distributed

from s5_mm.registry import HOOKS
from s5_mm.utils.argument_checks import check_number

from .accumulation import accumulation_ends
from .atomic_checkpoint_hook import AtomicCheckpointHook

# sysexits.h: a temporary failure, try again.  Windows has no such name.
EXIT_PREEMPTED: int = getattr(os, 'EX_TEMPFAIL', 75)


@HOOKS.register_module()
class PreemptionHook(Hook):
    """Save a full checkpoint and leave when a signal asks for it.

    The signal only sets a flag.  At the end of the iteration, or after the current
    batch of a validation, the run saves a full checkpoint and leaves with **exit
    status 75** (``EX_TEMPFAIL``: try again), which a job script takes as "submit me
    again with ``--resume``".  A validation that was cut short runs again on resume.
    In the middle of an accumulation of gradients the run first goes on to its end; a
    validation there is left without a new checkpoint, and the run resumes from the last
    one.  Further signals change nothing, neither while saving nor on the way out.

    In a distributed run one process with the signal is enough: all agree, over a gloo
    group of their own, to leave after the same iteration.  ``torchrun`` turns any
    status of its processes into 1; started by ``srun`` or ``mpirun`` the 75 arrives.

    Data workers ignore these signals, which schedulers send to every process of a job,
    unless they come from the process they serve.  One that was hit before it could
    ignore it ends the run with the same status, to resume from its last checkpoint.

    Args:
        signals: Names of the signals.
        interval: Iterations between two agreements of a distributed run.  One process
            alone looks after every iteration.

    Raises:
        ValueError: A signal has no such name here, or the interval is below 1.
    """

    # After every hook has finished the iteration, checkpoints included.
    priority = 'LOWEST'

    def __init__(
        self, signals: Sequence[str] = ('SIGTERM', 'SIGUSR1'), interval: int = 10
    ) -> None:
        unknown = [name for name in signals if not hasattr(signal, name)]
        if unknown:
            raise ValueError(
                f'PreemptionHook: no signals named {unknown} on this system'
            )
        self.signals = [getattr(signal, name) for name in signals]
        self.interval = check_number('PreemptionHook: interval', interval, 1)
        self._received = 0
        self._agreed = False
        self._saver: AtomicCheckpointHook | None = None
        self._previous: dict[int, Any] = {}
        self._group: distributed.ProcessGroup | None = None
        self._common_val_batches = 0

    def before_train(self, runner: Runner) -> None:
        """Take over the signals.

        Args:
            runner: The runner of the training process.

        Raises:
            RuntimeError: No AtomicCheckpointHook saves iterations in this run.
        """
        self._saver = _find_saver(runner)
        self._received = 0
        self._agreed = False
        for number in self.signals:
            self._previous[number] = signal.signal(number, self._receive)
        if is_distributed():
            group = distributed.new_group(backend='gloo')
            if isinstance(group, distributed.ProcessGroup):  # of which all are members
                self._group = group
        loops = [runner.train_loop, *([runner.val_loop] if runner.val_loop else [])]
        for loader in (loop.dataloader for loop in loops):
            if loader.num_workers > 0:
                loader.worker_init_fn = partial(
                    _init_worker, self.signals, loader.worker_init_fn
                )

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: dict[str, Any] | None = None,
    ) -> None:
        """Leave after this iteration if a process was asked to.

        Args:
            runner: The runner of the training process.
            batch_idx: Index of the batch.
            data_batch: Not used.
            outputs: Not used.

        Raises:
            SystemExit: With status 75, after the checkpoint is safe.
        """
        interval = 1 if self._group is None else self.interval
        if not self._agreed and self.every_n_train_iters(runner, interval):
            self._agreed = bool(self._agree())
        if self._agreed and accumulation_ends(runner):
            self._leave(runner, runner.iter + 1)

    def before_val_epoch(self, runner: Runner) -> None:
        """Count the batches that every process validates.

        Args:
            runner: The runner of the training process.
        """
        if self._group is not None:
            count = torch.tensor(len(runner.val_loop.dataloader))
            distributed.all_reduce(count, distributed.ReduceOp.MIN, group=self._group)
            self._common_val_batches = int(count)

    def after_val_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Any = None,
    ) -> None:
        """Leave after this batch of a validation if a process was asked to.

        Args:
            runner: The runner of the training process.
            batch_idx: Index of the batch.
            data_batch: Not used.
            outputs: Not used.

        Raises:
            SystemExit: With status 75, after the checkpoint is safe.
        """
        alone = self._group is None
        if (alone or batch_idx < self._common_val_batches) and self._agree():
            _undo_validation(runner)
            self._leave(runner, runner.iter, save=accumulation_ends(runner))

    def after_train_error(self, runner: Runner, error: Exception) -> None:
        """Leave when the signal has killed what training needs.

        Args:
            runner: The runner of the training process.
            error: What stopped the loop.

        Raises:
            SystemExit: With status 75, where a signal had come before the error.
        """
        if self._received:
            runner.logger.warning(
                f'{_name(self._received)} stopped the run in the middle of an '
                f'iteration ({error}). It resumes with --resume from its last '
                f'checkpoint. Exit status {EXIT_PREEMPTED}.'
            )
            self._ignore()
            raise SystemExit(EXIT_PREEMPTED) from error

    def after_train(self, runner: Runner) -> None:
        """Give the signals back.

        Args:
            runner: The runner of the training process.
        """
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous.clear()

    def _receive(self, number: int, frame: FrameType | None) -> None:
        """Remember the first signal; do nothing else at this unknown moment."""
        self._received = self._received or number

    def _agree(self) -> int:
        """Give the number of a signal that any process received, 0 for none."""
        if self._group is None:
            return self._received
        flag = torch.tensor(self._received)
        distributed.all_reduce(flag, distributed.ReduceOp.MAX, group=self._group)
        agreed = int(flag)
        # A signal that came while waiting for the others counts the next time.
        self._received = self._received or agreed
        return agreed

    def _leave(self, runner: Runner, iteration: int, save: bool = True) -> None:
        """Save, wait for the others and leave; the signals stay taken until the end."""
        saver = self._saver or _find_saver(runner)
        if save:
            path = saver.save_now(runner, iteration)
            done = f'saved {path} after {iteration} iterations'
        else:
            last = saver.last_ckpt or 'none yet'
            done = (
                f'iteration {iteration} is within an accumulation of gradients, which '
                f'no checkpoint holds; the last checkpoint is {last}'
            )
        if self._group is not None:
            distributed.barrier(group=self._group)
        runner.logger.warning(
            f'{_name(self._received)} received: {done}. The same command with --resume '
            f'goes on from there. Exit status {EXIT_PREEMPTED}.'
        )
        runner.call_hook('after_run')
        self._ignore()
        raise SystemExit(EXIT_PREEMPTED)

    def _ignore(self) -> None:
        """Let no signal change the exit status any more.

        Python gives its handlers back early in its shutdown.  ``srun`` sends SIGTERM to
        the tasks of a step as soon as the first of them is gone, and one that still
        shuts down would die of it.
        """
        for number in self.signals:
            signal.signal(number, signal.SIG_IGN)


def _find_saver(runner: Runner) -> AtomicCheckpointHook:
    """Find the hook that can save between its own checkpoints."""
    for hook in runner.hooks:
        if isinstance(hook, AtomicCheckpointHook) and not hook.by_epoch:
            return hook
    raise RuntimeError(
        'PreemptionHook needs default_hooks.checkpoint='
        "dict(type='s5_mm.AtomicCheckpointHook', by_epoch=False, ...)"
    )


def _undo_validation(runner: Runner) -> None:
    """Undo what hooks did to the model for a validation that is cut short.

    A hook that prepares the model in ``before_val_epoch`` (the host's EMA swaps its
    weights in) puts it back in ``after_val_epoch``.
    """
    for hook in runner.hooks:
        if type(hook).before_val_epoch is not Hook.before_val_epoch:
            hook.after_val_epoch(runner, metrics=None)
    runner.call_hook('after_val')


def _init_worker(
    signals: Sequence[int], init: Callable[[int], None] | None, worker_id: int
) -> None:
    """Shield a data worker from the scheduler's signals, then initialise it."""
    if hasattr(signal, 'sigwaitinfo'):  # not on macOS
        signal.pthread_sigmask(signal.SIG_BLOCK, signals)
        threading.Thread(
            target=_obey_the_parent, args=(signals, os.getppid()), daemon=True
        ).start()
    if init is not None:
        init(worker_id)


def _obey_the_parent(signals: Sequence[int], parent: int) -> None:
    """Die of a signal of the process this worker serves, and of no other's."""
    while signal.sigwaitinfo(signals).si_pid != parent:
        pass
    os._exit(0)


def _name(number: int) -> str:
    """Name a signal."""
    return signal.Signals(number).name
