"""Checkpoints that appear whole or not at all."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.fileio import LocalBackend
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner

from s5_mm.checkpoints.atomic_io import remove_leftovers, write_whole
from s5_mm.checkpoints.plain_data import from_plain, to_plain
from s5_mm.registry import HOOKS

from .atomic_backend import BACKEND_NAME, discard_staged, stage

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

    Args:
        *args: As for :class:`mmengine.hooks.CheckpointHook`.
        **kwargs: As for :class:`mmengine.hooks.CheckpointHook`, except
            ``backend_args`` and ``file_client_args``: the directory must be local.

    Raises:
        ValueError: A remote backend was asked for.
    """

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

    def before_train(self, runner: Runner) -> None:
        """Clean up after writers that were killed, then start as the host does.

        Args:
            runner: The runner of the training process.
        """
        super().before_train(runner)
        self.file_backend = _PatientBackend()
        if is_main_process():
            for directory in {str(self.out_dir), runner.work_dir}:
                for name in remove_leftovers(directory):
                    runner.logger.info(f'Removed the unfinished file {name}')

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

    def _save_checkpoint_with_step(
        self, runner: Runner, step: int, meta: dict[str, Any]
    ) -> None:
        """Write, point at it, and only then remove what is outdated."""
        hub = runner.message_hub
        kept: list[int] = []
        if self.max_keep_ckpts > 0:
            # The file lists the outdated ones too: should the process die before
            # they are removed, the host removes them when training resumes.
            kept = [old for old in self.keep_ckpt_ids if old != step] + [step]
            hub.update_info('keep_ckpt_ids', list(kept))
        self.last_ckpt = self._path_of(step)
        hub.update_info('last_ckpt', self.last_ckpt)
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
            write_whole(pointer, lambda file: file.write(self.last_ckpt.encode()))
            for old in kept[: -self.max_keep_ckpts]:
                Path(self._path_of(old)).unlink(missing_ok=True)
        if self.max_keep_ckpts > 0:
            self.keep_ckpt_ids = deque(kept, self.max_keep_ckpts)
            hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        """Let the host decide, but keep the old best until the new one is there."""
        if not hasattr(self, 'file_backend'):  # ``runner.val()`` without training
            return
        with self._into_place():
            super()._save_best_checkpoint(runner, metrics)
        self.file_backend.remove_now(keep=self._best_paths())

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


class _PatientBackend(LocalBackend):
    """Local files whose removal waits until it is safe."""

    def __init__(self) -> None:
        self._waiting: list[str] = []

    def remove(self, filepath: str | Path) -> None:
        """Remember to remove a file."""
        self._waiting.append(str(filepath))

    def remove_now(self, keep: set[str]) -> None:
        """Remove what waits, but for the named ones."""
        for path in self._waiting:
            if path not in keep:
                Path(path).unlink(missing_ok=True)
        self._waiting.clear()
