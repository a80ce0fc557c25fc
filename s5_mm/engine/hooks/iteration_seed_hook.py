"""Random draws of the model as a function of the iteration."""

from __future__ import annotations

import random

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import BaseLoop, Runner

from s5_mm.registry import HOOKS

_TRAIN, _VAL = 0, 1


@HOOKS.register_module()
class IterationSeedHook(Hook):
    """Seed the generators of the main process before every training iteration.

    Dropout, drop path and whatever else draws from the global generators of torch (CPU
    and devices), numpy and ``random`` becomes a function of (seed, iteration, rank).
    So a resumed run draws what the run that never stopped would have drawn, without
    any generator state in the checkpoint, and nothing that validation, logging or
    pictures draw reaches training.  Validation is seeded at its start, with draws of
    its own.  (mmengine 0.10.12 neither saves nor restores any generator.)

    Args:
        seed: Seed of the draws; ``None`` takes the seed of the run.
    """

    # First of all hooks: what others draw before an iteration is reproduced too.
    priority = 'VERY_HIGH'

    def __init__(self, seed: int | None = None) -> None:
        self.seed = seed

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: object = None
    ) -> None:
        """Seed for one iteration.

        Args:
            runner: The runner of the training process.
            batch_idx: Index of the batch; the iteration is the runner's.
            data_batch: Not used.
        """
        self._seed_all(runner, _TRAIN)

    def before_val_epoch(self, runner: Runner) -> None:
        """Seed for one validation.

        Args:
            runner: The runner of the training process.
        """
        self._seed_all(runner, _VAL)

    def _seed_all(self, runner: Runner, phase: int) -> None:
        """Seed every global generator without waiting for a device."""
        seed = runner.seed if self.seed is None else self.seed
        # ``runner.iter`` would build the training loop where only validation runs.
        loop = runner._train_loop
        iteration = loop.iter if isinstance(loop, BaseLoop) else 0
        words = np.random.SeedSequence(
            [seed, phase, iteration, get_rank()]
        ).generate_state(4, np.uint32)
        random.seed(int(words[0]))
        np.random.seed(words[1:3])
        torch.manual_seed(int(words[3]))
