"""A trained segmentor that says how sure it is of a crop, and what the crop is like."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from s5_mm.checkpoints import CheckpointError
from s5_mm.models.segmentors.semi_base import SemiBaseSegmentor
from s5_mm.registry import MODELS
from s5_mm.utils.argument_checks import check_choice

from .entropy import check_background, pixel_scores
from .pooling import last_tap, pooled_feature
from .prototypes import similarities


@MODELS.register_module()
class PatchScorer(SemiBaseSegmentor):
    """Scores of crops (Eq. 1) and nearest prototypes, from one forward pass.

    Takes every checkpoint that the segmentor takes: bare ones, of runs with a teacher,
    and of the release.  It cannot be trained.

    Args:
        segmentor: Config of a segmentor whose decode head gives logits (B, K, h, w), or
            the one channel of a sigmoid head.  Its losses and ``test_cfg`` are not
            used: crops are seen whole.
        background: Id of the background, None if the classes have none.
        mode: Treatment of the background, see
            :func:`s5_mm.curation.scoring.entropy.pixel_scores`.
        amp_dtype: 'bfloat16' or 'float16' for mixed precision; logits are judged in
            fp32 whatever it is.
        network: Of a run with a teacher, which one to take.
        data_preprocessor: Config of ``mmengine.ImgDataPreprocessor``; crops arrive as
            uint8 RGB.

    Raises:
        ValueError: If an argument has a value that is not allowed.
    """

    def __init__(
        self,
        segmentor: dict,
        background: int | None = 0,
        mode: str = 'drop',
        amp_dtype: Literal['bfloat16', 'float16'] | None = None,
        network: Literal['student', 'teacher'] = 'student',
        data_preprocessor: dict | None = None,
    ) -> None:
        super().__init__(segmentor, data_preprocessor=data_preprocessor)
        check_choice('amp_dtype', amp_dtype, (None, 'bfloat16', 'float16'))
        check_choice('network', network, ('student', 'teacher'))
        check_background(self.num_classes, background, mode)
        self.background, self.mode = background, mode
        self.amp_dtype, self.network = amp_dtype, network
        self.prototypes: Tensor | None = None
        self.gains: list[float] = []  # a list, as JSON gives it back
        self.eval()

    def settings(self) -> dict[str, Any]:
        """What the scores depend on beside weights and pixels, JSON."""
        names = ('background', 'mode', 'amp_dtype', 'network')
        return {name: getattr(self, name) for name in names} | {'gains': self.gains}

    def set_prototypes(self, prototypes: Tensor) -> None:
        """Compare crops with prototypes from now on.

        Args:
            prototypes: float32, (M, D), rows of length 1.
        """
        self.prototypes = prototypes

    def set_gains(self, gains: Sequence[float]) -> None:
        """Give features of copies too that a crop may have, from now on.

        Args:
            gains: Factors of the brightness; each gives eight orientations.  None for
                features of the crop alone.

        Raises:
            ValueError: If the first gain, which gives the crop itself, is not 1.
        """
        if gains and gains[0] != 1:
            raise ValueError(f'gains={tuple(gains)}, the first one must be 1')
        self.gains = list(gains)

    def forward(
        self,
        inputs: Tensor,
        data_samples: Any = None,
        mode: str = 'tensor',
        mix: Any = None,
    ) -> Any:
        """Entry of mmengine.

        Args:
            inputs: Normalised crops, (B, 3, H, W).
            data_samples: Not used.
            mode: 'predict' for scores, 'tensor' for logits.
            mix: Not used.

        Returns:
            See :meth:`predict`; or logits, (B, K, h, w).

        Raises:
            ValueError: With mode 'loss'.
        """
        if mode == 'loss':
            raise ValueError('PatchScorer scores crops, it cannot be trained')
        return self.predict(inputs) if mode == 'predict' else self._logits(inputs)[0]

    @torch.no_grad()
    def predict(
        self, inputs: Tensor, data_samples: Any = None
    ) -> list[dict[str, Tensor]]:
        """Score crops.

        Args:
            inputs: Normalised crops, (B, 3, H, W).
            data_samples: Not used.

        Returns:
            One dictionary of the batch: ``entropy``, ``foreground``, ``confidence``
            (B,), ``class_areas`` (B, K), ``features`` (B, D), or (B, W, D) of W copies
            (:meth:`set_gains`), and, with prototypes, ``cluster``, ``similarity``,
            ``margin`` (B,); all on the device.
        """
        logits, feature = self._logits(inputs)
        scores = pixel_scores(
            logits,
            (inputs.shape[-2], inputs.shape[-1]),
            self.align_corners,
            self.background,
            self.mode,
        )._asdict()
        if self.prototypes is not None:
            self.prototypes = self.prototypes.to(feature.device)
            nearest = similarities(feature, self.prototypes)
            names = ('cluster', 'similarity', 'margin')
            scores.update(zip(names, nearest, strict=True))
        if self.gains:
            copies = [crops for g in self.gains for crops in self._copies(inputs, g)]
            others = (self._feature(crops) for crops in copies[1:])
            feature = torch.stack([feature, *others], 1)
        return [dict(scores, features=feature)]

    def _logits(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, K, h, w) and pooled features (B, D) of one pass."""
        with self._autocast(inputs):
            with last_tap(self.predictor.backbone) as kept:
                features: Sequence[Tensor] = self.predictor.extract_feat(inputs)
            logits = self.predictor.decode_head(features)
        if not isinstance(logits, Tensor):
            raise ValueError(
                f'{type(self.predictor.decode_head).__name__} returns '
                f'{type(logits).__name__}, expected logits (B, K, h, w)'
            )
        return self.class_logits(logits), pooled_feature(kept, features)

    def _copies(self, inputs: Tensor, gain: float) -> list[Tensor]:
        """Brighten square crops and turn them, in the order of NUM_ORIENTATIONS."""
        if gain != 1:
            mean, std = self.data_preprocessor.mean, self.data_preprocessor.std
            brighter = ((inputs * std + mean) * gain).clamp(0, 255)
            inputs = (brighter - mean) / std
        both = inputs, inputs.flip(3)
        return [crops.rot90(turn, (2, 3)) for crops in both for turn in range(4)]

    def _feature(self, inputs: Tensor) -> Tensor:
        """Pooled features (B, D) without logits."""
        with self._autocast(inputs), last_tap(self.predictor.backbone) as kept:
            features = self.predictor.extract_feat(inputs)
        return pooled_feature(kept, features)

    def _autocast(self, inputs: Tensor) -> torch.autocast:
        """Precision of the network."""
        dtype = self.amp_dtype and getattr(torch, self.amp_dtype)
        return torch.autocast(inputs.device.type, dtype, enabled=dtype is not None)

    def translate_checkpoint(
        self, state: dict[str, Tensor], prefix: str, mismatch: str
    ) -> list[str]:
        """Put the teacher's weights in the place of the student's, if it is asked for.

        Args:
            state: Tensors by the model's names, changed in place.
            prefix: Where this model is in a larger one.
            mismatch: Not used.

        Returns:
            Notes for the log.

        Raises:
            CheckpointError: If there is no teacher in the checkpoint.
        """
        teacher, student = f'{prefix}teacher.', f'{prefix}student.'
        keys = [key for key in state if key.startswith(teacher)]
        if self.network == 'student':
            for key in keys:
                del state[key]
            return []
        if not keys:
            raise CheckpointError("network='teacher', but there is no teacher in it")
        for key in keys:
            state[student + key[len(teacher) :]] = state.pop(key)
        return ['the weights of the teacher are taken']
