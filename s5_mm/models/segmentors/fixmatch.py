"""FixMatch for segmentation: S4 pre-training of the paper (Eq. 4-7)."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Any

import torch
from mmseg.structures import SegDataSample
from torch import Tensor
from torch.nn.functional import cross_entropy

from s5_mm.registry import MODELS
from s5_mm.utils.argument_checks import check_choice, check_number

from ..data_preprocessors import MixPlan
from ..mixing import build_mixing
from ..pseudo_labels import (
    DistributionAlignment,
    Predictions,
    PseudoLabels,
    adopt_rule,
    build_part,
    build_threshold,
    confidence_sum,
    count_labels,
    count_pseudo_labels,
)
from .semi_base import stacked_labels
from .step_errors import explain_step_errors
from .teacher_student import TeacherStudentSegmentor, evaluating
from .unlabelled_schedule import UnlabelledSchedule


@MODELS.register_module()
class FixMatch(TeacherStudentSegmentor):
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
            * ``threshold`` (None): config of another rule of
              :mod:`s5_mm.models.pseudo_labels` instead of ``conf_thresh``, such as
              ``dict(type='s5_mm.NoThreshold')``; a ``conf_thresh`` of the base
              config is then set to None.
            * ``alignment`` (None): config of a distribution alignment, which corrects
              the teacher's predictions before the rule sees them.
            * ``soft_targets`` (False): the target of a pixel is p^uw instead of its
              argmax (Mean Teacher with cross entropy): what the teacher half sees of a
              rare class is not turned into another one.  Takes B_u x K x H x W x 4
              bytes.
            * ``unsup_weight`` (1.0): lambda of Eq. 5.
            * ``normalization`` ('valid'): what the sum of Eq. 7 is divided by:
              'valid', all pixels that are no padding (the release); 'confident',
              those that passed the threshold; 'image', as 'valid' image by image,
              then the mean over the B_u images (Eq. 7 to the letter).
            * ``average_losses`` (False): (L_s + lambda L_u) / 2, the release, instead
              of Eq. 5.
            * ``burn_in`` (0): first iterations in which only L_s counts, or their share
              of the training (0.5): a teacher that starts too early has lost the rare
              classes, and the student follows.
            * ``ramp`` (0): iterations, or a share, in which lambda then grows to its
              full value.
            * ``ema_momentum`` (None), ``ema_buffers`` ('average'): see
              :class:`TeacherStudentSegmentor`.
            * ``mixing`` (None): config of a mixture that is made of the pseudo-labels,
              :class:`s5_mm.ClassMix` or :class:`s5_mm.LabelledCopyPaste`; only the
              latter goes together with CutMix, and comes after it.
            * ``sync_normalizer`` (True): see :class:`SemiBaseSegmentor`.
        **kwargs: See :class:`SemiBaseSegmentor`.

    Raises:
        ValueError: If a value is out of range.
    """

    TRAIN_DEFAULTS = dict(
        TeacherStudentSegmentor.TRAIN_DEFAULTS,
        conf_thresh=0.95,
        threshold=None,
        alignment=None,
        soft_targets=False,
        unsup_weight=1.0,
        normalization='valid',
        average_losses=False,
        burn_in=0,
        ramp=0,
        mixing=None,
    )
    compiled_steps = (
        'labelled_step',
        'student_step',
        'teacher_step',
        'probabilities_step',
    )

    def __init__(
        self, segmentor: dict, semi_train_cfg: dict | None = None, **kwargs: Any
    ) -> None:
        super().__init__(segmentor, semi_train_cfg, **kwargs)
        cfg = self.train_cfg
        self.schedule = UnlabelledSchedule(cfg['burn_in'], cfg['ramp'])
        allowed = ('valid', 'confident', 'image')
        where = 'semi_train_cfg.normalization'
        check_choice(where, cfg['normalization'], allowed)
        for key in ('soft_targets', 'average_losses', 'sync_normalizer'):
            check_choice(f'semi_train_cfg.{key}', cfg[key], (False, True))
        check_number('semi_train_cfg.unsup_weight', cfg['unsup_weight'], 0, below=inf)
        self.threshold = build_threshold(semi_train_cfg or {}, self.num_classes)
        self.alignment: DistributionAlignment | None = None
        if cfg['alignment'] is not None:
            self.alignment = build_part(
                'alignment',
                cfg['alignment'],
                self.num_classes,
                DistributionAlignment,
                's5_mm.DistributionAlignment',
            )
        self.mixing = build_mixing(
            cfg['mixing'], self.num_classes, self.data_preprocessor
        )
        # Confident pixels by class, and all valid pixels, since the last reading, and
        # labelled pixels since the start; in the checkpoint, so that a resumed run
        # logs the same figures.
        counts = torch.zeros(self.num_classes + 1, dtype=torch.int64)
        self.register_buffer('pseudo_counts', counts)
        self.register_buffer('label_counts', counts[:-1].clone())

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
            data_samples: ``sup``, samples with ``gt_sem_seg`` uint8 (1, H, W);
                ``unsup``, samples with ``sample_key``, read by ``mixing`` alone.
            mix: The CutMix of ``unsup_strong``, to be done to the pseudo-labels too.

        Returns:
            ``loss_sup`` or ``sup.*``, ``loss_unsup`` (weighted), ``mask_ratio`` and the
            losses of auxiliary heads.

        Raises:
            ValueError: See :meth:`SemiBaseSegmentor.loss`; also without ``mix`` after
                the burn-in.
        """
        since = self.schedule.since_burn_in()
        self.update_teacher(since)
        labels = stacked_labels(data_samples['sup'])
        self.label_counts += count_labels(labels, self.num_classes)
        if self.alignment is not None:
            self.alignment.observe_labels(labels)
        if self.mixing is not None:
            self.mixing.observe_labels(labels)
        if since < 0:
            return self._hand_over(super().loss(inputs, data_samples))
        if mix is None:
            raise ValueError(
                f'{type(self).__name__}: the batch has no mix, expected the one that '
                's5_mm.MultiBranchDataPreprocessor makes'
            )
        self.threshold.progress = self.schedule.progress(since)
        pseudo = self.pseudo_labels(inputs['unsup_weak'], mix, learn=True)
        strong, mixed = self.mixed_views(inputs, data_samples, pseudo)
        images = inputs['sup']
        with explain_step_errors(type(self).__name__, images.shape, self.num_classes):
            losses_sup, loss_unsup, features = self.student_step(
                images, strong, labels, mixed
            )
        weight = self.train_cfg['unsup_weight'] * self.schedule.weight(since)
        losses = dict(
            **self._hand_over(losses_sup),
            **self.auxiliary_losses(features, labels),
            loss_unsup=weight * loss_unsup,
        )
        if self.train_cfg['average_losses']:
            losses = {
                key: value / 2 if 'loss' in key else value
                for key, value in losses.items()
            }
        losses['mask_ratio'] = self.normalize(pseudo.weight.sum(), pseudo.valid)
        self.pseudo_counts += count_pseudo_labels(pseudo, self.num_classes)
        return losses

    def labelled_losses(self, logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """L_s, and what the rule learns from labelled images, if anything.

        Args:
            logits: Of the labelled images, at the head's size, (B_l, K, h, w).
            labels: Class ids, long, (B_l, H, W).

        Returns:
            See :meth:`SemiBaseSegmentor.labelled_losses`; and ``confidence``, see
            :meth:`Threshold.observe_labelled`, which :meth:`loss` takes out again.
        """
        losses = super().labelled_losses(logits, labels)
        if self.threshold.needs_labelled:
            p_l = self.upsample(logits.detach(), labels.shape[-2:]).softmax(dim=1)
            losses['confidence'] = confidence_sum(p_l, labels != self.ignore_index)
        return losses

    def _hand_over(self, losses: dict[str, Tensor]) -> dict[str, Tensor]:
        """Give the rule the labelled confidence, which is no loss."""
        if self.threshold.needs_labelled:
            self.threshold.observe_labelled(losses.pop('confidence'))
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

    @torch.no_grad()
    def pseudo_labels(
        self, x_weak: Tensor, mix: MixPlan, learn: bool = False
    ) -> PseudoLabels:
        """y-hat = argmax p^uw with its weight (Eq. 7), mixed as the images are.

        Args:
            x_weak: Weak views, own and partners', (M, 3, H, W).
            mix: Plan of the mixture of the B_u images.
            learn: Whether threshold and alignment learn from these images, as they do
                once per iteration of a training.

        Returns:
            Pseudo-labels of the B_u strong views.
        """
        with evaluating(self.teaching):
            predictions = self._predictions(x_weak, mix.valid, learn)
        if learn:
            self.threshold.update(predictions)
        weight = self.threshold(predictions) * mix.valid
        parts = [*predictions[:3], weight]
        if self.train_cfg['soft_targets']:
            parts.append(predictions.probabilities)
        count = len(mix.partner)
        return PseudoLabels(*(mix.mix(own[:count], own) for own in parts))

    @torch.no_grad()
    def mixed_views(
        self,
        inputs: dict[str, Tensor],
        data_samples: dict[str, Sequence[SegDataSample]],
        pseudo: PseudoLabels,
    ) -> tuple[Tensor, PseudoLabels]:
        """Strong views and pseudo-labels after ``mixing``.

        Args:
            inputs: See :meth:`loss`.
            data_samples: See :meth:`loss`.
            pseudo: Pseudo-labels of ``unsup_strong``.

        Returns:
            What the student is trained on: (B_u, 3, H, W) and its pseudo-labels.
        """
        strong = inputs['unsup_strong']
        if self.mixing is None:
            return strong, pseudo
        labels = stacked_labels(data_samples['sup'])
        keys = [sample.sample_key for sample in data_samples['unsup']]
        return self.mixing(strong, pseudo, inputs['sup'], labels, keys)

    @property
    def needs_probabilities(self) -> bool:
        """Whether more than the maximum of p^uw leaves the teacher's step."""
        return (
            self.train_cfg['soft_targets']
            or self.alignment is not None
            or self.threshold.needs_probabilities
        )

    def _predictions(self, x_weak: Tensor, valid: Tensor, learn: bool) -> Predictions:
        """Predict the weak views, with the whole distribution only if it is needed."""
        if not self.needs_probabilities:
            confidence, labels = self.teacher_step(x_weak)
            return Predictions(labels, confidence, valid)
        p_weak = self.probabilities_step(x_weak)
        if self.alignment is not None:
            if learn:
                self.alignment.update(p_weak, valid)
            p_weak = self.alignment(p_weak)
        confidence, labels = p_weak.max(dim=1)
        return Predictions(labels, confidence, valid, p_weak)

    def unsupervised_loss(self, logits_strong: Tensor, pseudo: PseudoLabels) -> Tensor:
        """L_us of Eq. 7: plain cross entropy, whatever the head's losses are.

        With soft targets -log p^us of the label becomes -sum_k p_k^uw log p_k^us.

        Args:
            logits_strong: Student's logits of the strong views, (B_u, K, h, w).
            pseudo: The teacher's pseudo-labels.

        Returns:
            Scalar, not yet weighted by lambda.
        """
        if pseudo.probabilities is None:
            entropy = self.pixel_cross_entropy(logits_strong, pseudo.labels)
        else:
            logits = self.upsample(logits_strong, pseudo.labels.shape[-2:])
            entropy = cross_entropy(logits, pseudo.probabilities, reduction='none')
        entropy = entropy * pseudo.weight
        if self.train_cfg['normalization'] == 'image':
            pixels = pseudo.valid.sum(dim=(1, 2)).clamp(min=1)
            return (entropy.sum(dim=(1, 2)) / pixels).mean()
        chosen = dict(valid=pseudo.valid, confident=pseudo.weight)
        return self.normalize(entropy.sum(), chosen[self.train_cfg['normalization']])

    def adopt_state_dict(
        self, state_dict: dict[str, Tensor], prefix: str = '', *args: Any
    ) -> None:
        """Let checkpoints of other methods load: what they do not know starts anew.

        Args:
            state_dict: Changed in place.
            prefix: Where this model is in a larger one.
            *args: What torch passes on to a pre-hook of ``load_state_dict``.
        """
        super().adopt_state_dict(state_dict, prefix, *args)
        for name in ('pseudo_counts', 'label_counts'):
            state_dict.setdefault(prefix + name, getattr(self, name))
        for name in ('threshold', 'alignment', 'mixing'):
            adopt_rule(state_dict, getattr(self, name), f'{prefix}{name}.')

    # -- what is watched ---------------------------------------------------------
    def read_pseudo_counts(self) -> Tensor:
        """Read the counts of all processes and start anew.

        Returns:
            Confident pixels of each class (their weights, summed up) and, last, all
            valid pixels since the last reading, int64, (K + 1,), on CPU.
        """
        counts = self.pseudo_counts.cpu().clone()
        self.pseudo_counts.zero_()
        return counts
