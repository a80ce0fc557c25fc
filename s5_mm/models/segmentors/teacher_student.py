"""What every method with a teacher that labels for a student shares."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import torch
from mmseg.models import BaseSegmentor
from torch import Tensor, nn

from s5_mm.utils.argument_checks import check_choice

from ..pseudo_labels import check_share
from .ema_teacher import BUFFERS, ramped_momentum, update_ema
from .semi_base import SemiBaseSegmentor


class TeacherStudentSegmentor(SemiBaseSegmentor):
    """A student, and a teacher that is the student itself or its moving average.

    Args:
        segmentor: Config of the segmentor.
        semi_train_cfg: Keys of :class:`SemiBaseSegmentor`, and:

            * ``ema_momentum`` (None): the teacher is an exponential moving average of
              the student with the momentum min(1 - 1/(t + 1), m), where t counts the
              iterations since the burn-in, at whose end it is the student; None: the
              teacher is the student.
            * ``ema_buffers`` ('average'): batch statistics of the teacher are averaged
              as its weights are; 'copy' takes the student's.
        **kwargs: See :class:`SemiBaseSegmentor`.

    Raises:
        ValueError: If a value is out of range.
    """

    TRAIN_DEFAULTS = dict(
        SemiBaseSegmentor.TRAIN_DEFAULTS, ema_momentum=None, ema_buffers='average'
    )
    compiled_steps: tuple[str, ...] = (
        'labelled_step',
        'teacher_step',
        'probabilities_step',
    )

    def __init__(
        self, segmentor: dict, semi_train_cfg: dict | None = None, **kwargs: Any
    ) -> None:
        super().__init__(segmentor, semi_train_cfg, **kwargs)
        buffers, momentum = (
            self.train_cfg[f'ema_{k}'] for k in ('buffers', 'momentum')
        )
        check_choice('semi_train_cfg.ema_buffers', buffers, BUFFERS)
        if momentum is not None:
            check_share('ema_momentum', momentum)
            self.teacher = deepcopy(self.student).eval().requires_grad_(False)
        _ = self.predictor  # refuses a teacher that is not there, before the training

    @property
    def teaching(self) -> BaseSegmentor:
        """The network that labels."""
        return self.student if self.teacher is None else self.teacher

    def teacher_step(self, x_weak: Tensor) -> tuple[Tensor, Tensor]:
        """Call of the teacher, which is in eval mode.

        Args:
            x_weak: Weak views, (M, 3, H, W).

        Returns:
            max p^uw and argmax p^uw, (M, H, W) each.
        """
        confidence, labels = self.probabilities_step(x_weak).max(dim=1)
        return confidence, labels

    def probabilities_step(self, x_weak: Tensor) -> Tensor:
        """Call of the teacher, which is in eval mode.

        Args:
            x_weak: Weak views, (M, 3, H, W).

        Returns:
            p^uw, fp32, (M, K, H, W).
        """
        logits = self.teaching.decode_head(self.teaching.extract_feat(x_weak))
        return self.upsample(logits, x_weak.shape[-2:]).softmax(dim=1)

    @torch.no_grad()
    def predict_labels(self, images: Tensor) -> Tensor:
        """Classes that the student sees, in eval mode.

        Args:
            images: Normalised images, (N, 3, H, W).

        Returns:
            Class ids, long, (N, H, W).
        """
        with evaluating(self.student):
            logits = self.student.decode_head(self.student.extract_feat(images))
        logits = self.upsample(logits, images.shape[-2:])
        if self.student.out_channels == 1:
            threshold = self.student.decode_head.threshold
            return (logits[:, 1].sigmoid() > threshold).long()
        return logits.argmax(dim=1)

    def update_teacher(self, since_burn_in: int) -> None:
        """Move the EMA teacher towards the student.

        Runs at the start of an iteration, so the teacher of iteration t has seen the
        student after step t - 1; no hook can be forgotten, and DDP needs no change.

        Args:
            since_burn_in: Iterations since the burn-in, t of the momentum; up to 0 the
                teacher is the student.
        """
        if self.teacher is None:
            return
        momentum = ramped_momentum(self.train_cfg['ema_momentum'], since_burn_in)
        update_ema(self.teacher, self.student, momentum, self.train_cfg['ema_buffers'])

    def train(self, mode: bool = True) -> TeacherStudentSegmentor:
        """Set the mode; the EMA teacher always stays in eval mode."""
        super().train(mode)
        if self.teacher is not None:
            self.teacher.eval()
        return self

    def init_weights(self) -> None:
        """Initialise the student and start the teacher from it."""
        super().init_weights()
        if self.teacher is not None:
            self.teacher.load_state_dict(self.student.state_dict())

    def adopt_state_dict(
        self, state_dict: dict[str, Tensor], prefix: str = '', *args: Any
    ) -> None:
        """Let a bare segmentor, or a run without teacher, fill both networks.

        Args:
            state_dict: Changed in place: a missing teacher is the student, a teacher
                that this model does not have is dropped.
            prefix: Where this model is in a larger one.
            *args: What torch passes on to a pre-hook of ``load_state_dict``.
        """
        super().adopt_state_dict(state_dict, prefix, *args)
        student, teacher = f'{prefix}student.', f'{prefix}teacher.'
        if self.teacher is None:
            for key in [key for key in state_dict if key.startswith(teacher)]:
                del state_dict[key]
        elif not any(key.startswith(teacher) for key in state_dict):
            for key in [key for key in state_dict if key.startswith(student)]:
                state_dict[teacher + key[len(student) :]] = state_dict[key]


@contextmanager
def evaluating(module: BaseSegmentor) -> Iterator[None]:
    """Put a network into eval mode for a while.

    Args:
        module: The network; parts that were in eval mode before stay in it.
    """
    training: list[nn.Module] = [part for part in module.modules() if part.training]
    module.eval()
    try:
        yield
    finally:
        for part in training:
            part.training = True
