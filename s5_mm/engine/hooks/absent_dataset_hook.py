"""The optimizer leaves alone what no sample trained."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook
from mmengine.model import BaseModel, is_model_wrapper
from mmengine.runner import Runner

from s5_mm.registry import HOOKS


@HOOKS.register_module()
class AbsentDatasetHook(Hook):
    """Takes the zero gradients off the parts of data sets that had no samples.

    Under DDP every parameter gets a gradient, zero for the expert and the head of a
    data set that is absent; weight decay and momentum would move them all the same.
    Just before the optimizer's step their gradients become None, as they are in a
    single process.  Models that serve one data set are left alone.
    """

    def before_train(self, runner: Runner) -> None:
        """Hook into the optimizer.

        Args:
            runner: The runner of the training process.
        """
        model = _unwrapped(runner)
        if not hasattr(model, 'trained_datasets'):
            return

        def drop(*_: Any) -> None:
            for name in model.datasets:
                if name not in model.trained_datasets:
                    for parameter in model.dataset_parameters(name):
                        parameter.grad = None
            model.trained_datasets.clear()

        runner.optim_wrapper.optimizer.register_step_pre_hook(drop)

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Any = None,
    ) -> None:
        """Forget who was there, also where an overflow made the scaler skip the step.

        Args:
            runner: The runner of the training process.
            batch_idx: Not used.
            data_batch: Not used.
            outputs: Not used.
        """
        model = _unwrapped(runner)
        if hasattr(model, 'trained_datasets') and runner.optim_wrapper.should_update():
            model.trained_datasets.clear()


def _unwrapped(runner: Runner) -> BaseModel:
    """Give the model without DDP around it."""
    return runner.model.module if is_model_wrapper(runner.model) else runner.model
