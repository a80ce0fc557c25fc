"""What every semi-supervised wrapper of a segmentor shares."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.structures import PixelData
from mmseg.models import BaseSegmentor
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from s5_mm.registry import MODELS
from s5_mm.utils.argument_checks import check_choice

from ..compiled_steps import CompiledSteps
from ..data_preprocessors import MixPlan
from ..feature_channels import fit_in_channels
from ..logged_losses import LoggedLosses
from ..losses import (
    decode_losses,
    loss_parts,
    mean_over_pixels,
    own_cross_entropy,
    pixel_cross_entropy,
    upsample,
)
from .checks import check_head, refuse
from .mixed_sizes import MixedSizes
from .step_errors import explain_step_errors


@MODELS.register_module()
class SemiBaseSegmentor(CompiledSteps, MixedSizes, LoggedLosses, BaseSegmentor):
    """Wraps any mmseg segmentor; alone it trains on the labelled branch only.

    It is the supervised-only twin of its children: same data path, same loss L_s
    (Eq. 6), same checkpoint keys (``student.*``), no unlabelled images.

    L_s is what the head's ``loss_decode`` and ``sampler`` say.  A single loss of the
    name ``loss_ce`` is logged as ``loss_sup``, everything else as ``sup.<loss_name>``.
    Cross entropies of mmseg are computed by
    :class:`s5_mm.models.losses.PixelCrossEntropy`, same value, no host
    synchronisation; other losses run as they are in mmseg, on each process's pixels.

    A head with one channel (``out_channels=1``, ``num_classes=2``, sigmoid cross
    entropy) is a head of two classes with the logits (0, z); only its predictions know
    its ``threshold``.

    Args:
        segmentor: Config of a segmentor with ``extract_feat`` and ``decode_head``,
            such as mmseg's ``EncoderDecoder``.  It has no ``data_preprocessor`` of its
            own, and its head's ``ignore_index`` is 255, which also marks padding.
        semi_train_cfg: Arguments of the method, see the children.  Here:
            ``sync_normalizer`` (bool, default True) divides cross entropies by the
            number of pixels of all processes, so that the loss does not depend on how a
            batch is shared out; False divides by each process's own number, as the
            release.
        semi_test_cfg: ``predict_on``, 'student' (default) or 'teacher'.
        data_preprocessor: Config of the preprocessor.
        init_cfg: Not allowed here: initialise the parts of ``segmentor``.
        pretrained: Only None, which ``mmseg.apis.init_model`` sets.
        train_cfg: Only None, which ``mmseg.apis.init_model`` sets.

    Raises:
        ValueError: If a config has an unknown key or value, or a setting that would
            have no effect here.
    """

    #: Keys of ``semi_train_cfg`` with their defaults.
    TRAIN_DEFAULTS: dict[str, Any] = dict(sync_normalizer=True)
    ignore_index = 255
    compiled_steps: tuple[str, ...] = ('labelled_step',)

    def __init__(
        self,
        segmentor: dict,
        semi_train_cfg: dict | None = None,
        semi_test_cfg: dict | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
        pretrained: None = None,
        train_cfg: None = None,
    ) -> None:
        owner = type(self).__name__
        if init_cfg is not None:
            raise ValueError(
                f'{owner} takes no init_cfg ({init_cfg}): put it into '
                'segmentor.backbone, or start from a checkpoint with load_from'
            )
        advice = "use segmentor.backbone.init_cfg=dict(type='Pretrained', ...)"
        refuse(owner, advice, pretrained=pretrained)
        refuse(owner, 'the method is set by semi_train_cfg', train_cfg=train_cfg)
        refuse(
            owner,
            f'put it into data_preprocessor of the {owner} itself',
            **{'segmentor.data_preprocessor': segmentor.get('data_preprocessor')},
        )
        super().__init__(data_preprocessor=data_preprocessor)
        self.train_cfg = _checked('semi_train_cfg', self.TRAIN_DEFAULTS, semi_train_cfg)
        self.test_cfg = _checked(
            'semi_test_cfg', dict(predict_on='student'), semi_test_cfg
        )
        self.student: BaseSegmentor = MODELS.build(segmentor)
        self.teacher: BaseSegmentor | None = None
        self._take_losses(self.student.decode_head)
        predict_on = self.test_cfg['predict_on']
        check_choice('semi_test_cfg.predict_on', predict_on, ('student', 'teacher'))
        self._register_load_state_dict_pre_hook(self.adopt_state_dict)

    def _take_losses(self, head: nn.Module) -> None:
        """Check the head of the student and prepare its losses."""
        where, owner = 'segmentor.decode_head', type(self).__name__
        check_head(head, where, owner)
        if not self.student.with_neck and head.input_transform != 'resize_concat':
            channels = dict(in_channels=head.in_channels, in_index=head.in_index)
            fit_in_channels(channels, self.student.backbone, where)
        if head.ignore_index != self.ignore_index:
            raise ValueError(
                f'{where}.ignore_index={head.ignore_index} found, allowed is '
                f'{self.ignore_index}, which marks padding too; turn other labels into '
                "it by the data set's label_map"
            )
        sync = self.train_cfg['sync_normalizer']
        for part in loss_parts(head):
            if getattr(part, 'sync_normalizer', sync) != sync:
                raise ValueError(
                    f'{where}.loss_decode.sync_normalizer={part.sync_normalizer} and '
                    f'semi_train_cfg.sync_normalizer={sync} found; expected the same'
                )
        own_cross_entropy(head, sync)
        parts = loss_parts(head)
        if not any('loss' in part.loss_name for part in parts):
            names = [part.loss_name for part in parts]
            raise ValueError(
                f'{where}.loss_decode has the loss_name {names}; expected one with '
                "'loss' in it, the others are only logged"
            )
        self._sole_cross_entropy = [part.loss_name for part in parts] == ['loss_ce']

    # -- training ---------------------------------------------------------------
    def forward(
        self,
        inputs: Any,
        data_samples: Any = None,
        mode: str = 'tensor',
        mix: MixPlan | None = None,
    ) -> Any:
        """Entry of mmengine.

        Args:
            inputs: Branches by name (mode 'loss') or images (N, 3, H, W).
            data_samples: Samples by source (mode 'loss') or a list.
            mode: 'loss', 'predict' or 'tensor'.
            mix: Plan of the CutMix of the unlabelled branches.

        Returns:
            Dict of losses, list of samples, or logits, as in mmseg.
        """
        if mode == 'loss':
            return self.loss(inputs, data_samples, mix)
        return super().forward(inputs, data_samples, mode)

    def loss(
        self,
        inputs: dict[str, Tensor],
        data_samples: dict[str, Sequence[SegDataSample]],
        mix: MixPlan | None = None,
    ) -> dict[str, Tensor]:
        """L_s of Eq. 6 on the labelled branch.

        Args:
            inputs: ``sup``, normalised images, (B_l, 3, H, W).
            data_samples: ``sup``, samples with ``gt_sem_seg`` uint8 (1, H, W).
            mix: Not used here.

        Returns:
            ``loss_sup``, or ``sup.*``, and the losses of auxiliary heads.

        Raises:
            ValueError: Batch normalisation got a single value, or a label is beyond the
                classes of the head.
        """
        labels = stacked_labels(data_samples['sup'])
        images = inputs['sup']
        with explain_step_errors(type(self).__name__, images.shape, self.num_classes):
            losses, features = self.labelled_step(images, labels)
        return {**losses, **self.auxiliary_losses(features, labels)}

    def labelled_step(
        self, images: Tensor, labels: Tensor
    ) -> tuple[dict[str, Tensor], Sequence[Tensor]]:
        """Student and L_s of the labelled branch alone.

        Args:
            images: Normalised, (B_l, 3, H, W).
            labels: Class ids, long, (B_l, H, W).

        Returns:
            L_s as :meth:`labelled_losses` gives it, and the features that
            :meth:`auxiliary_losses` takes.
        """
        features = self.student.extract_feat(images)
        logits = self.student.decode_head(features)
        return self.labelled_losses(logits, labels), self.auxiliary_inputs(features)

    def labelled_losses(self, logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """L_s of Eq. 6: what the head's ``loss_decode`` and ``sampler`` say.

        Args:
            logits: Of the labelled images, at the head's size, (B_l, K, h, w).
            labels: Class ids, long, (B_l, H, W).

        Returns:
            ``loss_sup`` if there is one loss and it is called ``loss_ce``, else
            ``sup.<loss_name>`` of each, scalars.
        """
        if self._sole_cross_entropy:
            return dict(loss_sup=self.labelled_loss(logits, labels))
        losses = self._head_losses(logits, labels)
        return {f'sup.{name}': value for name, value in losses.items()}

    def labelled_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Cross entropy with the labels (Eq. 6), padding and 255 ignored.

        Args:
            logits: Of the labelled images, at the head's size, (B_l, K, h, w).
            labels: Class ids, long, (B_l, H, W).

        Returns:
            Mean over the pixels that count, times ``loss_weight``, scalar.
        """
        return self._head_losses(logits, labels)['loss_ce']

    def _head_losses(self, logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Compute the head's losses by ``loss_name``."""
        logits = self.upsample(logits, labels.shape[-2:])
        return decode_losses(self.student.decode_head, logits, labels)

    def auxiliary_inputs(self, features: Sequence[Tensor]) -> Sequence[Tensor]:
        """Features that auxiliary heads need; none without such heads.

        Args:
            features: Of the labelled images, (B_l, C, h, w) each.

        Returns:
            The features, or nothing, so that a compiled step need not hand them out.
        """
        return features if self.student.with_auxiliary_head else ()

    def auxiliary_losses(
        self, features: Sequence[Tensor], labels: Tensor
    ) -> dict[str, Tensor]:
        """Losses of the auxiliary heads by mmseg's own code, never compiled.

        Args:
            features: What :meth:`auxiliary_inputs` gave.
            labels: Class ids, long, (B_l, H, W).

        Returns:
            ``aux.*``, empty without auxiliary heads.
        """
        if not self.student.with_auxiliary_head:
            return {}
        # mmseg's losses want labels as int64.
        truth = [
            SegDataSample(gt_sem_seg=PixelData(data=label.unsqueeze(0)))
            for label in labels
        ]
        return self.student._auxiliary_head_forward_train(features, truth)

    def pixel_cross_entropy(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Cross entropy of each pixel at full resolution, in fp32.

        Args:
            logits: At the head's size, (N, K, h, w).
            labels: Class ids, long, (N, H, W); 255 gives 0.

        Returns:
            (N, H, W).
        """
        return pixel_cross_entropy(
            self.upsample(logits, labels.shape[-2:]), labels, self.ignore_index
        )

    def upsample(self, logits: Tensor, size: Sequence[int]) -> Tensor:
        """Resize logits to the input's size in fp32 (bf16 cannot hold the sums).

        Args:
            logits: (N, K, h, w), or (N, 1, h, w) of a head with one channel.
            size: (H, W).

        Returns:
            (N, K, H, W), fp32 (fp64 stays fp64), see :meth:`class_logits`.
        """
        return self.class_logits(upsample(logits, size, self.align_corners))

    def class_logits(self, logits: Tensor) -> Tensor:
        """Make logits of two classes, (0, z), of the one channel z of a sigmoid head.

        Args:
            logits: (N, C, h, w).

        Returns:
            (N, 2, h, w) if C is 1, else ``logits``.
        """
        if self.student.out_channels > 1:
            return logits
        return torch.cat([torch.zeros_like(logits), logits], dim=1)

    def normalize(self, total: Tensor, counted: Tensor) -> Tensor:
        """Divide a sum over pixels by the number of pixels that count.

        Args:
            total: Sum over this process's pixels, scalar.
            counted: Which of this process's pixels count, bool, any shape.

        Returns:
            Scalar.  With ``sync_normalizer`` the *mean over the processes* of what
            this returns is the sum of all processes over the count of all, which is
            what one process with the whole batch gets.
        """
        return mean_over_pixels(total, counted, self.train_cfg['sync_normalizer'])

    # -- the wrapped segmentor as seen from outside ------------------------------
    @property
    def predictor(self) -> BaseSegmentor:
        """The network that validation and test use."""
        if self.test_cfg['predict_on'] == 'student':
            return self.student
        if self.teacher is None:
            raise ValueError(
                "semi_test_cfg.predict_on='teacher' needs an EMA teacher: set "
                'semi_train_cfg.ema_momentum'
            )
        return self.teacher

    @property
    def networks(self) -> tuple[str, ...]:
        """Names of the networks that can predict; the one that does comes first."""
        if self.teacher is None:
            return ('student',)
        predicting = self.test_cfg['predict_on']
        return (predicting, 'student' if predicting == 'teacher' else 'teacher')

    @contextmanager
    def predicting_on(self, network: str) -> Iterator[None]:
        """Let another network predict for a while.

        Args:
            network: One of :attr:`networks`.
        """
        configured = self.test_cfg['predict_on']
        self.test_cfg['predict_on'] = network
        try:
            yield
        finally:
            self.test_cfg['predict_on'] = configured

    @property
    def decode_head(self) -> torch.nn.Module:
        """Decode head of the predicting network (read by mmseg's TTA model)."""
        return self.predictor.decode_head

    @property
    def align_corners(self) -> bool:
        """Whether logits are upsampled with aligned corners."""
        return self.student.decode_head.align_corners

    @property
    def out_channels(self) -> int:
        """Number of output channels of the decode head."""
        return self.student.out_channels

    @property
    def num_classes(self) -> int:
        """Number of classes K."""
        return self.student.num_classes

    def extract_feat(self, inputs: Tensor) -> Sequence[Tensor]:
        """Features of the predicting network for images (N, 3, H, W)."""
        return self.predictor.extract_feat(inputs)

    def encode_decode(self, inputs: Tensor, batch_data_samples: Any) -> Tensor:
        """Logits of the predicting network at input size, (N, K, H, W)."""
        return self.predictor.encode_decode(inputs, batch_data_samples)

    def predict(self, inputs: Tensor, data_samples: Any = None) -> Any:
        """Predict with the student or the teacher, see ``semi_test_cfg``."""
        return self.predictor.predict(inputs, data_samples)

    def _forward(self, inputs: Tensor, data_samples: Any = None) -> Any:
        """Raw logits of the predicting network, (N, K, h, w)."""
        return self.predictor._forward(inputs, data_samples)

    def init_weights(self) -> None:
        """Initialise the student; children bring the teacher to the same state."""
        self.student.init_weights()

    def adopt_state_dict(
        self, state_dict: dict[str, Tensor], prefix: str = '', *_: Any
    ) -> None:
        """Let a checkpoint of the bare segmentor load into the student.

        Args:
            state_dict: Renamed in place: ``backbone.*`` to ``student.backbone.*``.
            prefix: Where this model is in a larger one.
            *_: What torch passes on to a pre-hook of ``load_state_dict``.
        """
        own = [f'{prefix}{name}.' for name, _ in self.student.named_children()]
        for key in [key for key in state_dict if key.startswith(tuple(own))]:
            renamed = f'{prefix}student.{key[len(prefix) :]}'
            state_dict.setdefault(renamed, state_dict.pop(key))


def stacked_labels(samples: Sequence[SegDataSample]) -> Tensor:
    """Take the labels out of samples.

    Args:
        samples: N samples with ``gt_sem_seg`` uint8 (1, H, W).

    Returns:
        Class ids, long, (N, H, W).
    """
    return torch.cat([sample.gt_sem_seg.data for sample in samples]).long()


def _checked(name: str, defaults: dict, given: dict | None) -> dict:
    """Fill in defaults and refuse unknown keys."""
    unknown = sorted(set(given or ()) - set(defaults))
    if unknown:
        raise ValueError(
            f'{name} has unknown keys {unknown}; allowed are {sorted(defaults)}'
        )
    return {**defaults, **(given or {})}
