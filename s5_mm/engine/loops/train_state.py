"""What a resumed training must share with the one that was stopped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.utils.data import DataLoader

_KEY = 'train_state'


@dataclass(frozen=True)
class TrainState:
    """The facts of a training on which its stream of samples depends.

    Attributes:
        seed: Seed of the sampler, or of the run where the sampler has none.
        global_batch: Samples of each source in one batch over all processes; one
            entry where the sampler knows no sources.
        dataset_lengths: Length of each source, by name, in their order.
    """

    seed: int
    global_batch: list[int]
    dataset_lengths: dict[str, int]

    @classmethod
    def of_dataloader(cls, dataloader: DataLoader, runner: Runner) -> TrainState:
        """Collect the facts.

        Args:
            dataloader: The training data loader.
            runner: The runner, for the number of processes and its seed.

        Returns:
            The state.
        """
        sampler = dataloader.sampler
        dataset: Any = dataloader.dataset  # torch's type has no length
        shares = getattr(sampler, 'shares', None) or [dataloader.batch_size]
        names = getattr(dataset, 'source_names', None) or ['train']
        lengths = getattr(dataset, 'source_lengths', None) or [len(dataset)]
        seed = getattr(sampler, 'seed', None)
        return cls(
            seed=int(runner.seed if seed is None else seed),
            global_batch=[int(share) * runner.world_size for share in shares],
            dataset_lengths={
                str(name): int(length)
                for name, length in zip(names, lengths, strict=True)
            },
        )

    def differences(self, saved: dict[str, Any]) -> dict[str, str]:
        """Compare with the state of a checkpoint.

        Args:
            saved: The state as stored.

        Returns:
            For every entry that differs: what was saved and what is found.
        """
        return {
            key: f'{key} was {saved.get(key)!r} and is now {value!r}'
            for key, value in asdict(self).items()
            # Not ``!=``: the order of the sources matters, to draws and parameters.
            if repr(saved.get(key)) != repr(value)
        }


class TrainStateHook(Hook):
    """Carry a :class:`TrainState` through the checkpoints.

    Registered by the training loop itself.

    Args:
        state: The state of this run.
        allow_changes: Entries whose change is only warned about.

    Raises:
        ValueError: ``allow_changes`` names something that is not in the state.
    """

    # After the message hub has the metrics, before a checkpoint is written.
    priority = 'HIGH'

    def __init__(self, state: TrainState, allow_changes: Sequence[str] = ()) -> None:
        unknown = set(allow_changes) - set(asdict(state))
        if unknown:
            raise ValueError(
                f'train_cfg.allow_changes: unknown {sorted(unknown)}; '
                f'allowed are {sorted(asdict(state))}'
            )
        self.state = state
        self.allow_changes = set(allow_changes)
        self.last_val_iter = 0
        self._saved: dict[str, Any] | None = None

    def after_val_epoch(
        self, runner: Runner, metrics: dict[str, float] | None = None
    ) -> None:
        """Remember that the result of this validation is recorded.

        Args:
            runner: The runner of the training process.
            metrics: The result; ``None`` where validation was cut short.
        """
        if metrics is not None:
            self.last_val_iter = runner.iter

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Put the state into the checkpoint.

        Args:
            runner: The runner of the training process.
            checkpoint: What is going to be saved; changed in place.
        """
        checkpoint['meta'][_KEY] = {
            **asdict(self.state),
            'last_val_iter': self.last_val_iter,
        }

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Keep the state of the checkpoint for the comparison.

        Args:
            runner: The runner of the training process.
            checkpoint: What was loaded.
        """
        self._saved = checkpoint.get('meta', {}).get(_KEY)

    def check_resumed(self, runner: Runner) -> None:
        """Compare the run with the checkpoint it resumes.

        Args:
            runner: The runner of the training process.

        Raises:
            ValueError: Something that matters changed and is not allowed to.
        """
        if self._saved is None:
            runner.logger.warning(
                'The checkpoint was not written by ResumableIterLoop: whether seed, '
                'batch and data are the same as before cannot be checked.'
            )
            return
        self.last_val_iter = self._saved['last_val_iter']
        differences = self.state.differences(self._saved)
        for key in self.allow_changes & set(differences):
            runner.logger.warning(f'Resumed with a change: {differences.pop(key)}.')
        if differences:
            raise ValueError(
                'The run cannot resume this checkpoint as the same training: '
                + '; '.join(differences.values())
                + '. Restore it (the seed with randomness.seed=...), or allow it with '
                f'train_cfg.allow_changes={sorted(differences)}'
            )
