"""An iteration-based training loop that resumes as if it had never stopped."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmengine.runner import BaseLoop, IterBasedTrainLoop, Runner

from s5_mm.registry import LOOPS
from s5_mm.utils.argument_checks import check_number
from s5_mm.utils.batch_size import pass_batch_size

from .resume_schedule import ResumeScheduleHook
from .train_state import TrainState, TrainStateHook


@LOOPS.register_module()
class ResumableIterLoop(IterBasedTrainLoop):
    """Train by iterations, and go on after a stop to the bit.

    On top of the host's loop:

    * the position in the data comes from ``sampler.skip`` alone, in O(1) and for any
      number of workers: no image before the resumed iteration is read;
    * a validation that was due where the checkpoint was saved, and whose result is not
      in it, runs first (the host saves before it validates, and skips it on resume);
    * what must not change (seed, global batch and its shares, lengths of the data
      sets) is kept in the checkpoint and compared; the number of processes may
      change as long as the global batch stays;
    * the length may be given in epochs of the data, so that a config holds for data
      whose size it cannot know (patches, subsets) and for any number of processes;
    * a sampler whose ``shares`` are a rule gets the loader's ``batch_size``, so that it
      is written once;
    * an error that leaves the loop is first announced to the hooks that have a method
      ``after_train_error(runner, error)``.

    Args:
        runner: The runner.
        dataloader: The data loader, or its config.
        max_iters: Iterations of the whole training, or
        max_epochs: epochs of it, each of ``len(dataloader)`` iterations; schedulers
            with ``by_epoch=True`` then need ``convert_to_iter_based=True``.
        val_begin: First iteration that may validate.
        val_interval: Iterations between validations; epochs with ``max_epochs``.
        dynamic_intervals: As for the host's loop.
        allow_changes: Entries of the training state whose change on resume is only
            warned about: any of ``'seed'``, ``'global_batch'``, ``'dataset_lengths'``.
        resume_schedule: Where the learning rate comes from on resume.  ``'keep'``:
            settings of the optimizer and the schedulers are the checkpoint's, to the
            bit.  ``'extend'``: they are the config's, and the schedule is what it would
            be had the run been configured like this from its start; ends and
            milestones that stood at the old length move to the new one.
            ``'restart'``: they are the config's, and the schedule begins at the resumed
            iteration.  Weights and moments are always the checkpoint's.  A run that
            was extended or restarted goes on when it resumes again with the same
            settings.

    Raises:
        TypeError: The sampler has no method ``skip``.
        ValueError: ``allow_changes`` or ``resume_schedule`` names something else,
            sampler and data loader disagree about the batch size, not exactly one of
            ``max_iters`` and ``max_epochs`` is given or it is below 1, or (at the
            start) a scheduler
            counts epochs or does not suit the checkpoint.
    """

    dataloader_iterator: Any

    def __init__(
        self,
        runner: Runner,
        dataloader: Any,
        max_iters: int | None = None,
        val_begin: int = 1,
        val_interval: int = 1000,
        dynamic_intervals: list[tuple[int, int]] | None = None,
        allow_changes: Sequence[str] = (),
        max_epochs: int | None = None,
        resume_schedule: str = 'keep',
    ) -> None:
        if (max_iters is None) == (max_epochs is None):
            raise ValueError(
                f'train_cfg has max_iters={max_iters} and max_epochs={max_epochs}, '
                'expected exactly one of them'
            )
        for name, length in (('max_iters', max_iters), ('max_epochs', max_epochs)):
            if length is not None:
                check_number(f'train_cfg.{name}', length, 1)
        dataloader = pass_batch_size(dataloader)
        if max_epochs is not None:
            BaseLoop.__init__(self, runner, dataloader)  # builds the loader
            dataloader = self.dataloader
            max_iters = max_epochs * len(dataloader)
            val_interval *= len(dataloader)
        super().__init__(
            runner,
            dataloader,
            max_iters,
            val_begin=val_begin,
            val_interval=val_interval,
            dynamic_intervals=dynamic_intervals,
        )
        if max_epochs is not None:
            self._max_epochs = max_epochs  # where schedulers end unless told
        self._check_sampler()
        self._state_hook = TrainStateHook(
            TrainState.of_dataloader(self.dataloader, runner), allow_changes
        )
        runner.register_hook(self._state_hook)
        self._schedule_hook = ResumeScheduleHook(resume_schedule)
        runner.register_hook(self._schedule_hook)

    def run(self) -> Any:
        """Launch training.

        Returns:
            The trained model.
        """
        try:
            return self._run()
        except Exception as error:
            self.runner.call_hook('after_train_error', error=error)
            raise
        finally:
            # Ends the workers now.  Left to the garbage collector, their queues are
            # closed first, and each end waits 10 s for them (torch 2.15, measured).
            self.dataloader_iterator = type(self.dataloader_iterator)(self.dataloader)

    def _run(self) -> Any:
        """Do the host's ``run``, but pick up the data and validation on resume."""
        runner = self.runner
        self._check_schedulers()
        if self._iter > 0:
            self._schedule_hook.resume(runner, self._iter)
        runner.call_hook('before_train')
        runner.call_hook('before_train_epoch')
        if self._iter > 0:
            self._state_hook.check_resumed(runner)
            self.dataloader_iterator.skip_iter(self._iter)
            if self._state_hook.last_val_iter != self._iter:
                self._validate_if_due()
        while self._iter < self._max_iters and not self.stop_training:
            runner.model.train()
            self.run_iter(next(self.dataloader_iterator))
            self._validate_if_due()
        runner.call_hook('after_train_epoch')
        runner.call_hook('after_train')
        return runner.model

    def _validate_if_due(self) -> None:
        """Validate where the schedule says so."""
        self._decide_current_val_interval()
        if (
            self.runner.val_loop is not None
            and self._iter >= self.val_begin
            and (self._iter % self.val_interval == 0 or self._iter == self._max_iters)
        ):
            self.runner.val_loop.run()

    def _check_schedulers(self) -> None:
        """Refuse schedulers that wait for the end of an epoch, which never comes."""
        schedulers = self.runner.param_schedulers or []
        if isinstance(schedulers, dict):
            schedulers = [own for listed in schedulers.values() for own in listed]
        waiting = [type(own).__name__ for own in schedulers if own.by_epoch]
        if waiting:
            raise ValueError(
                f'param_scheduler: {waiting} count epochs (by_epoch=True), this loop '
                'counts iterations; set by_epoch=False, or convert_to_iter_based=True '
                'to turn epochs of the data into iterations'
            )

    def _check_sampler(self) -> None:
        """Refuse at the start what could not be resumed later."""
        sampler = self.dataloader.sampler
        if not hasattr(sampler, 'skip'):
            raise TypeError(
                f'train_dataloader.sampler: {type(sampler).__name__} has no method '
                'skip(num_samples), so training could not resume where it stopped; '
                'use s5_mm.MultiSourceSampler or InfiniteSampler'
            )
        expected = getattr(sampler, 'batch_size', None)
        found = self.dataloader.batch_size
        if expected is not None and expected != found:
            raise ValueError(
                f'train_dataloader.batch_size is {found}, but its sampler '
                f'{type(sampler).__name__} makes batches of {expected} (the sum of '
                f'its shares): set batch_size={expected} or change the shares'
            )
