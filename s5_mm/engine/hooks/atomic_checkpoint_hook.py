"""Checkpoints that appear whole or not at all."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner

from s5_mm.checkpoints.plain_data import from_plain, to_plain
from s5_mm.io.atomic import remove_leftovers, write_bytes
from s5_mm.registry import HOOKS

from .accumulation import accumulation_ends, announce_accumulation
from .atomic_backend import BACKEND_NAME, PatientBackend, discard_staged, stage
from .finite_weights import infinite_buffers, refuse_non_finite
from .resumed_metainfo import adopt_metainfo

# Best checkpoints that go once the file that lists them is written.
_OUTDATED = 'outdated_best_ckpts'
# The parts of a checkpoint where mmengine keeps more than tensors.
_OBJECTS = ('meta', 'message_hub', 'param_schedulers')


@HOOKS.register_module()
class AtomicCheckpointHook(CheckpointHook):
    """Save checkpoints so that no crash leaves a run without a loadable one.

    A checkpoint is written aside, forced to the disk, read back, renamed; then the
    pointer ``last_checkpoint`` changes, as one step; only then do older ones go.  The
    best checkpoint likewise.  Files hold plain data alone and load with
    ``weights_only=True``.

    (mmengine 0.10.12 removes the old file first and writes in place: killed half-way
    through a save with ``max_keep_ckpts=1`` it left one truncated file and a pointer
    to a deleted one.)

    Regular checkpoints are those of the interval, of the end and of a preemption;
    ``max_keep_ckpts`` counts them alone.  A new best writes only its own file, and the
    regular one of the same iteration again, where there is one, so that it knows the
    best.  The best that the last regular checkpoint knows stays until the next.  (The
    host writes a regular checkpoint at every new best, off the interval.)

    With ``accumulative_counts`` above 1 a checkpoint that is due in the middle of an
    accumulation is saved at its end: files hold no gradients.

    Weights that are not finite are never saved: the run stops, and what was saved
    before stays.

    Args:
        *args: As for :class:`mmengine.hooks.CheckpointHook`.
        **kwargs: As for :class:`mmengine.hooks.CheckpointHook`, except
            ``backend_args`` and ``file_client_args``: the directory must be local.

    Raises:
        ValueError: A remote backend was asked for.
    """

    last_ckpt: str | None
    keep_ckpt_ids: deque[int]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        for key in ('backend_args', 'file_client_args'):
            if kwargs.pop(key, None) is not None:
                raise ValueError(
                    f'AtomicCheckpointHook: {key} is not supported, only directories '
                    'of this machine (rename is not atomic elsewhere); use '
                    "mmengine's CheckpointHook for remote ones"
                )
        super().__init__(*args, backend_args={'backend': BACKEND_NAME}, **kwargs)
        if self.out_dir is not None and '://' in str(self.out_dir):
            raise ValueError(
                f'AtomicCheckpointHook: out_dir={self.out_dir!r} is remote; expected '
                'a directory of this machine'
            )
        self._staging = False
        self._dropped: set[str] = set()
        self._due = False
        self._updating_best = False
        self._known_best: set[str] = set()  # to the last regular checkpoint
        self._expected: list[str] = []

    def before_train(self, runner: Runner) -> None:
        """Clean up after writers that were killed, then start as the host does.

        Args:
            runner: The runner of the training process.
        """
        super().before_train(runner)
        self.file_backend = PatientBackend(self.out_dir)
        self._due = False
        self._known_best = self._best_paths()
        for name in map(str, runner.message_hub.runtime_info.get(_OUTDATED, ())):
            if name.startswith('best_'):
                self.file_backend.remove(Path(self.out_dir, name))
        self._expected = infinite_buffers(runner)
        if not self.by_epoch:
            announce_accumulation(runner, self.interval)
        if is_main_process():
            for directory in {str(self.out_dir), runner.work_dir}:
                for name in remove_leftovers(directory):
                    runner.logger.info(f'Removed the unfinished file {name}')

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: dict[str, Any] | None = None,
    ) -> None:
        """Save at the interval, or at the end of the accumulation that is under way.

        Args:
            runner: The runner of the training process.
            batch_idx: Index of the batch.
            data_batch: Not used.
            outputs: Not used.
        """
        if self.by_epoch:
            return
        self._due |= self.every_n_train_iters(
            runner, self.interval, self.save_begin
        ) or (self.save_last and self.is_last_train_iter(runner))
        if self._due and accumulation_ends(runner):
            self._due = False
            runner.logger.info(f'Saving checkpoint at {runner.iter + 1} iterations')
            self._save_checkpoint(runner)

    def after_train(self, runner: Runner) -> None:
        """Remove outdated best checkpoints and publish as the host does.

        Args:
            runner: The runner of the training process.
        """
        if is_main_process():
            self.file_backend.remove_now(keep=self._best_paths())
        super().after_train(runner)

    def save_now(self, runner: Runner, iteration: int) -> str:
        """Save a full checkpoint outside the schedule.

        Args:
            runner: The runner of the training process.
            iteration: Number of iterations that are complete.

        Returns:
            Path of the checkpoint; where this iteration's is already the last one
            saved and no validation ended since, nothing is written again.
        """
        step = runner.epoch if self.by_epoch else iteration
        path = self._path_of(step)
        if self.last_ckpt != path:
            meta = {'epoch': runner.epoch, 'iter': iteration}
            self._save_checkpoint_with_step(runner, step, meta)
        return path

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Turn the checkpoint into plain data.

        Args:
            runner: The runner of the training process.
            checkpoint: What is going to be saved; changed in place.
        """
        for part in _OBJECTS:
            if part in checkpoint:
                checkpoint[part] = to_plain(
                    checkpoint[part],
                    lambda name, value: self._warn_dropped(runner, name, value),
                    part,
                )
        if self._staging:
            stage(checkpoint)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Restore the objects that the host expects.

        Args:
            runner: The runner of the training process.
            checkpoint: What was loaded; changed in place.
        """
        for part in _OBJECTS:
            if part in checkpoint:
                checkpoint[part] = from_plain(checkpoint[part])
        meta = checkpoint.get('meta', {})
        # The host would execute it as a Python file; today's files have 'cfg' instead.
        meta.pop('config', None)
        adopt_metainfo(runner, meta)

    def _save_checkpoint_with_step(
        self, runner: Runner, step: int, meta: dict[str, Any]
    ) -> None:
        """Write, point at it, and only then remove what is outdated."""
        if self._updating_best and self.last_ckpt != self._path_of(step):
            return
        refuse_non_finite(runner, self._expected)
        hub = runner.message_hub
        kept: list[int] = []
        if self.max_keep_ckpts > 0:
            # The file lists the outdated ones too: should the process die before
            # they are removed, the host removes them when training resumes.
            kept = [old for old in self.keep_ckpt_ids if old != step] + [step]
            hub.update_info('keep_ckpt_ids', list(kept))
        self.last_ckpt = self._path_of(step)
        hub.update_info('last_ckpt', self.last_ckpt)
        hub.update_info(_OUTDATED, self.file_backend.waiting(self._best_paths()))
        with self._into_place():
            runner.save_checkpoint(
                self.out_dir,
                self.filename_tmpl.format(step),
                save_optimizer=self.save_optimizer,
                save_param_scheduler=self.save_param_scheduler,
                meta=meta,
                by_epoch=self.by_epoch,
                backend_args=self.backend_args,
                **self.args,
            )
        if is_main_process():
            pointer = Path(runner.work_dir, 'last_checkpoint')
            write_bytes(pointer, self.last_ckpt.encode())
            for old in kept[: -self.max_keep_ckpts]:
                Path(self._path_of(old)).unlink(missing_ok=True)
        if self.max_keep_ckpts > 0:
            self.keep_ckpt_ids = deque(kept, self.max_keep_ckpts)
            hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))
        self._known_best = self._best_paths()
        if is_main_process():
            self.file_backend.remove_now(keep=self._known_best)

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        """Let the host decide, but keep the old best until the new one is there."""
        if not hasattr(self, 'file_backend'):  # ``runner.val()`` without training
            return
        finite = {key: _finite_or_none(value) for key, value in metrics.items()}
        for key in self.save_best or ():
            if key in metrics and finite[key] is None:
                runner.logger.warning(f'{key} is {metrics[key]}: no best checkpoint')
        if self.save_best:
            refuse_non_finite(runner, self._expected)
        self._updating_best = True
        try:
            with self._into_place():
                super()._save_best_checkpoint(runner, finite)
        finally:
            self._updating_best = False
        if is_main_process():
            keep = self._best_paths() | self._known_best
            self.file_backend.remove_now(keep)

    def _best_paths(self) -> set[str]:
        """List the best checkpoints that must stay."""
        several = getattr(self, 'best_ckpt_path_dict', {}).values()
        single = getattr(self, 'best_ckpt_path', None)
        return {str(path) for path in (*several, single) if path}

    def _path_of(self, step: int) -> str:
        """Name the checkpoint of a step."""
        return str(Path(str(self.out_dir), self.filename_tmpl.format(step)))

    @contextmanager
    def _into_place(self) -> Iterator[None]:
        """Send what is saved inside through the atomic backend, without a copy."""
        outer, self._staging = self._staging, True
        try:
            yield
        finally:
            self._staging = outer
            if not outer:
                discard_staged()

    def _warn_dropped(self, runner: Runner, name: str, value: Any) -> None:
        """Say once what the checkpoints leave out."""
        if name not in self._dropped:
            self._dropped.add(name)
            runner.logger.warning(
                f'{name} is a {type(value).__name__}, not plain data: it is not saved '
                'in the checkpoints and keeps its configured value on resume.'
            )


def _finite_or_none(value: Any) -> Any:
    """Replace a number that is not finite by None, which is never the best."""
    try:
        return value if math.isfinite(value) else None
    except TypeError:  # no number
        return value
