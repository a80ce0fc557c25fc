"""Validation and test of a student and its teacher in one pass over the data."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.evaluator import Evaluator
from mmengine.model import BaseModel
from mmengine.runner import BaseLoop, Runner, TestLoop, ValLoop, autocast
from torch import nn

from s5_mm.registry import LOOPS

from .student_teacher_evaluator import StudentTeacherEvaluator, without_files


class _StudentTeacherLoop(BaseLoop):
    """What validation and test of both networks share."""

    mode = 'val'
    evaluator: Evaluator | StudentTeacherEvaluator

    def __init__(
        self, runner: Runner, dataloader: Any, evaluator: Any, fp16: bool = False
    ) -> None:
        super().__init__(runner, dataloader, evaluator, fp16)
        own, *others = getattr(_innermost(runner.model), 'networks', (None,))
        if not others:
            return
        if isinstance(evaluator, Evaluator):
            raise TypeError(
                f'{type(self).__name__}: {self.mode}_evaluator is a '
                f'{type(evaluator).__name__}, expected its config, of which each '
                'network gets an evaluator of its own'
            )
        figures = without_files(evaluator)
        if figures is None:
            return
        self.evaluator = StudentTeacherEvaluator(
            self.evaluator, runner.build_evaluator(figures), (own, *others)
        )
        metainfo = getattr(self.dataloader.dataset, 'metainfo', None)
        if metainfo is not None:
            self.evaluator.dataset_meta = metainfo

    @torch.no_grad()
    def run_iter(self, idx: int, data_batch: Any) -> None:
        """Predict a batch with both networks.

        Args:
            idx: Index of the batch.
            data_batch: The batch, as the data loader gives it.
        """
        both = isinstance(self.evaluator, StudentTeacherEvaluator)
        if not both:
            super().run_iter(idx, data_batch)
            return
        runner, mode = self.runner, self.mode
        runner.call_hook(f'before_{mode}_iter', batch_idx=idx, data_batch=data_batch)
        step = getattr(runner.model, f'{mode}_step')
        with autocast(enabled=self.fp16):
            # First, since predictions are put into the samples of the batch, and
            # those that the hooks see are the predicting network's.
            with _innermost(runner.model).predicting_on(self.evaluator.names[1]):
                others = step(data_batch)
            self.evaluator.process_other(others, data_batch)
            outputs = step(data_batch)
        self.evaluator.process(outputs, data_batch)
        runner.call_hook(
            f'after_{mode}_iter', batch_idx=idx, data_batch=data_batch, outputs=outputs
        )


@LOOPS.register_module()
class StudentTeacherValLoop(_StudentTeacherLoop, ValLoop):
    """Validate the student and its EMA teacher, loading every image once.

    The network of ``semi_test_cfg.predict_on`` is what other loops evaluate: its
    figures have their usual names, hooks see its predictions, and its masks are the
    ones that are written.  The figures of the other network follow as
    ``teacher/mIoU`` or ``student/mIoU``.  A model without teacher, or metrics that
    only write files, make it mmengine's loop.

    Args:
        runner: The runner.
        dataloader: The data loader, or its config.
        evaluator: Config of the evaluator.
        fp16: Whether to predict under autocast.

    Raises:
        TypeError: If the model has a teacher and ``evaluator`` is no config.
    """


@LOOPS.register_module()
class StudentTeacherTestLoop(_StudentTeacherLoop, TestLoop):
    """Test the student and its EMA teacher, see :class:`StudentTeacherValLoop`."""

    mode = 'test'


def _innermost(model: BaseModel) -> BaseModel:
    """Take a model out of its wrappers: DDP, test-time augmentation."""
    while isinstance(getattr(model, 'module', None), nn.Module):
        model = model.module
    return model
