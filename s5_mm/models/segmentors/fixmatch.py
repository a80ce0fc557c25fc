"""FixMatch for segmentation: S4 pre-training of the paper (Eq. 4-7)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from typing import Any, NamedTuple

import torch
from mmengine.dist import all_reduce
from mmengine.logging import MessageHub
from mmseg.models import BaseSegmentor
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from s5_mm.registry import MODELS

from ..data_preprocessors import MixPlan
from .semi_base import SemiBaseSegmentor, stacked_labels
from .step_errors import explain_step_errors


class PseudoLabels(NamedTuple):
    """What the teacher says about the strong views.

    Attributes:
        labels: y-hat, class ids, long, (B_u, H, W).
        confidence: max p, in [0, 1], (B_u, H, W).
        valid: Pixels that are no padding, bool, (B_u, H, W).
    """

    labels: Tensor
    confidence: Tensor
    valid: Tensor


@MODELS.register_module()
class FixMatch(SemiBaseSegmentor):
    """Weak-to-strong consistency with confidence-thresholded pseudo-labels.

    One gradient-free teacher call in eval mode on the weak views and ONE student
    call on labelled and strong views together, so that batch statistics mix both,
    as in the release; both under the same autocast (the release's teacher runs in
    fp32 outside of it).  Without ``ema_momentum`` the teacher is the student itself.

    The head's ``loss_decode`` and ``sampler`` make L_s.  L_us stays the cross entropy
    of Eq. 7 with equal class weights whatever they are: class weights and hard pixels
    are made from labels that are known, and Dice has no pixels that a confidence could
    pick.

    Args:
        segmentor: Config of the segmentor.
        semi_train_cfg: Keys, with their defaults:

            * ``conf_thresh`` (0.95): tau of Eq. 7, pixels with max p >= tau count.
            * ``unsup_weight`` (1.0): lambda of Eq. 5.
            * ``normalization`` ('valid'): what the sum of Eq. 7 is divided by:
              'valid', all pixels that are no padding (the release); 'confident',
              those that passed the threshold; 'image', as 'valid' image by image,
              then the mean over the B_u images (Eq. 7 to the letter).
            * ``average_losses`` (False): (L_s + lambda L_u) / 2, the release, instead
              of Eq. 5.
            * ``burn_in`` (0): first iterations in which only L_s counts, a warm start
              in the same run: from random weights hardly a prediction reaches 0.95
              and the branch can stay idle.
            * ``ema_momentum`` (None): the teacher is an exponential moving average of
              the student with this momentum.
            * ``sync_normalizer`` (True): see :class:`SemiBaseSegmentor`.
        **kwargs: See :class:`SemiBaseSegmentor`.

    Raises:
        ValueError: If a value is out of range.
    """

    TRAIN_DEFAULTS = dict(
        SemiBaseSegmentor.TRAIN_DEFAULTS,
        conf_thresh=0.95,
        unsup_weight=1.0,
        normalization='valid',
        average_losses=False,
        burn_in=0,
        ema_momentum=None,
    )
    compiled_steps = ('labelled_step', 'student_step', 'teacher_step')

    def __init__(
        self, segmentor: dict, semi_train_cfg: dict | None = None, **kwargs: Any
    ) -> None:
        super().__init__(segmentor, semi_train_cfg, **kwargs)
        cfg = self.train_cfg
        for key, top in (('conf_thresh', 1.0), ('ema_momentum', 1.0)):
            value = cfg[key]
            if value is not None and not 0 <= value <= top:
                raise ValueError(f'semi_train_cfg.{key} must be in [0, 1], got {value}')
        if not isinstance(cfg['burn_in'], int) or cfg['burn_in'] < 0:
            raise ValueError(
                'semi_train_cfg.burn_in must be a number of iterations >= 0, got '
                f'{cfg["burn_in"]!r}'
            )
        if cfg['normalization'] not in ('valid', 'confident', 'image'):
            raise ValueError(
                "semi_train_cfg.normalization must be 'valid', 'confident' or "
                f"'image', got {cfg['normalization']!r}"
            )
        if cfg['ema_momentum'] is not None:
            self.teacher = deepcopy(self.student).eval().requires_grad_(False)
        # Confident pixels by class, and all valid pixels, since the last reading;
        # in the checkpoint, so that a resumed run logs the same figures.
        self.register_buffer(
            'pseudo_counts', torch.zeros(self.num_classes + 1, dtype=torch.int64)
        )

    def loss(
        self,
        inputs: dict[str, Tensor],
        data_samples: dict[str, Sequence[SegDataSample]],
        mix: MixPlan | None = None,
    ) -> dict[str, Tensor]:
        """L = L_s + lambda L_us (Eq. 5).

        Args:
            inputs: ``sup`` x^l (B_l, 3, H, W); ``unsup_weak`` x^uw, (M, 3, H, W);
                ``unsup_strong`` x^us with the partners pasted in, (B_u, 3, H, W).
            data_samples: ``sup``, samples with ``gt_sem_seg`` uint8 (1, H, W).
            mix: The CutMix of ``unsup_strong``, to be done to the pseudo-labels too.

        Returns:
            ``loss_sup`` or ``sup.*``, ``loss_unsup`` (weighted), ``mask_ratio`` and the
            losses of auxiliary heads.

        Raises:
            ValueError: See :meth:`SemiBaseSegmentor.loss`.
        """
        self.update_teacher()
        if self._burning_in():
            return super().loss(inputs, data_samples)
        labels = stacked_labels(data_samples['sup'])
        pseudo = self.pseudo_labels(inputs['unsup_weak'], mix)
        images = inputs['sup']
        with explain_step_errors(type(self).__name__, images.shape, self.num_classes):
            losses_sup, loss_unsup, features = self.student_step(
                images, inputs['unsup_strong'], labels, pseudo
            )
        losses = dict(
            **losses_sup,
            **self.auxiliary_losses(features, labels),
            loss_unsup=self.train_cfg['unsup_weight'] * loss_unsup,
        )
        if self.train_cfg['average_losses']:
            losses = {
                key: value / 2 if 'loss' in key else value
                for key, value in losses.items()
            }
        confident = self.confident(pseudo)
        losses['mask_ratio'] = self.normalize(
            confident.sum().to(pseudo.confidence.dtype), pseudo.valid
        )
        self._count(pseudo, confident)
        return losses

    def student_step(
        self, x_l: Tensor, x_s: Tensor, labels: Tensor, pseudo: PseudoLabels
    ) -> tuple[dict[str, Tensor], Tensor, Sequence[Tensor]]:
        """One call of the student on both branches, and both losses.

        Args:
            x_l: Labelled images, (B_l, 3, H, W).
            x_s: Strong views, (B_u, 3, H, W).
            labels: Class ids, long, (B_l, H, W).
            pseudo: The teacher's pseudo-labels of the strong views.

        Returns:
            L_s by name and L_us (Eq. 6, 7), scalars, and the features of the labelled
            images that :meth:`auxiliary_losses` takes.
        """
        features = self.student.extract_feat(torch.cat([x_l, x_s]))
        logits_l, logits_s = self.student.decode_head(features).split(
            [len(x_l), len(x_s)]
        )
        labelled = [feature[: len(x_l)] for feature in features]
        return (
            self.labelled_losses(logits_l, labels),
            self.unsupervised_loss(logits_s, pseudo),
            self.auxiliary_inputs(labelled),
        )

    def _burning_in(self) -> bool:
        """Whether this iteration still trains on labels alone."""
        if not self.train_cfg['burn_in']:
            return False
        hub = MessageHub.get_current_instance()
        return hub.get_info('iter', 0) < self.train_cfg['burn_in']

    @torch.no_grad()
    def pseudo_labels(self, x_weak: Tensor, mix: MixPlan) -> PseudoLabels:
        """y-hat = argmax p^uw with its confidence (Eq. 7), mixed as the images are.

        Args:
            x_weak: Weak views, own and partners', (M, 3, H, W).
            mix: Plan of the mixture of the B_u images.

        Returns:
            Pseudo-labels of the B_u strong views.
        """
        teacher = self.student if self.teacher is None else self.teacher
        with _evaluating(teacher):
            confidence, labels = self.teacher_step(x_weak)
        count = len(mix.partner)
        mixed = (mix.mix(own[:count], own) for own in (labels, confidence, mix.valid))
        return PseudoLabels(*mixed)

    def teacher_step(self, x_weak: Tensor) -> tuple[Tensor, Tensor]:
        """Call of the teacher, which is in eval mode.

        Args:
            x_weak: Weak views, (M, 3, H, W).

        Returns:
            max p^uw and argmax p^uw, (M, H, W) each.
        """
        teacher = self.student if self.teacher is None else self.teacher
        logits = teacher.decode_head(teacher.extract_feat(x_weak))
        p_weak = self.upsample(logits, x_weak.shape[-2:]).softmax(dim=1)
        return tuple(p_weak.max(dim=1))

    def confident(self, pseudo: PseudoLabels) -> Tensor:
        """1(max p >= tau) on pixels that are no padding, bool, (B_u, H, W)."""
        return (pseudo.confidence >= self.train_cfg['conf_thresh']) & pseudo.valid

    def unsupervised_loss(self, logits_strong: Tensor, pseudo: PseudoLabels) -> Tensor:
        """L_us of Eq. 7: plain cross entropy, whatever the head's losses are.

        Args:
            logits_strong: Student's logits of the strong views, (B_u, K, h, w).
            pseudo: The teacher's pseudo-labels.

        Returns:
            Scalar, not yet weighted by lambda.
        """
        confident = self.confident(pseudo)
        entropy = self.pixel_cross_entropy(logits_strong, pseudo.labels) * confident
        if self.train_cfg['normalization'] == 'image':
            pixels = pseudo.valid.sum(dim=(1, 2)).clamp(min=1)
            return (entropy.sum(dim=(1, 2)) / pixels).mean()
        chosen = dict(valid=pseudo.valid, confident=confident)
        return self.normalize(entropy.sum(), chosen[self.train_cfg['normalization']])

    @torch.no_grad()
    def predict_labels(self, images: Tensor) -> Tensor:
        """Classes that the student sees, in eval mode.

        Args:
            images: Normalised images, (N, 3, H, W).

        Returns:
            Class ids, long, (N, H, W).
        """
        with _evaluating(self.student):
            logits = self.student.decode_head(self.student.extract_feat(images))
        logits = self.upsample(logits, images.shape[-2:])
        if self.student.out_channels == 1:
            threshold = self.student.decode_head.threshold
            return (logits[:, 1].sigmoid() > threshold).long()
        return logits.argmax(dim=1)

    # -- the teacher -------------------------------------------------------------
    @torch.no_grad()
    def update_teacher(self) -> None:
        """Move the EMA teacher towards the student.

        Runs at the start of an iteration, so the teacher of iteration t has seen the
        student after step t - 1; no hook can be forgotten, and DDP needs no change.
        Buffers (batch statistics) are copied.
        """
        if self.teacher is None:
            return
        torch._foreach_lerp_(
            list(self.teacher.parameters()),
            list(self.student.parameters()),
            1 - self.train_cfg['ema_momentum'],
        )
        pairs = zip(self.teacher.buffers(), self.student.buffers(), strict=True)
        for own, new in pairs:
            own.copy_(new)

    def train(self, mode: bool = True) -> FixMatch:
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
        state_dict.setdefault(f'{prefix}pseudo_counts', self.pseudo_counts)

    # -- what is watched ---------------------------------------------------------
    @torch.no_grad()
    def _count(self, pseudo: PseudoLabels, confident: Tensor) -> None:
        """Add the pixels of this iteration to ``pseudo_counts``, without a sync."""
        counts = torch.zeros_like(self.pseudo_counts)
        counts.scatter_add_(0, pseudo.labels.flatten(), confident.flatten().long())
        counts[-1] = pseudo.valid.sum()
        # Every process holds the sum of all, so a checkpoint of one is enough.
        all_reduce(counts)
        self.pseudo_counts += counts

    def read_pseudo_counts(self) -> Tensor:
        """Read the counts of all processes and start anew.

        Returns:
            Confident pixels of each class and, last, all valid pixels since the last
            reading, int64, (K + 1,), on CPU.
        """
        counts = self.pseudo_counts.cpu().clone()
        self.pseudo_counts.zero_()
        return counts


@contextmanager
def _evaluating(module: BaseSegmentor) -> Iterator[None]:
    """Put a network into eval mode for a while."""
    training: list[nn.Module] = [part for part in module.modules() if part.training]
    module.eval()
    try:
        yield
    finally:
        for part in training:
            part.training = True
