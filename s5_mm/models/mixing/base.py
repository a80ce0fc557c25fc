"""Interface of mixtures that are made after the teacher's call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from s5_mm.utils import SampleKey
from s5_mm.utils.argument_checks import check_number

from ..pseudo_labels import PseudoLabels, build_part


class Mixing(nn.Module):
    """Paste pixels into strong views and the same pixels into their pseudo-labels.

    CutMix draws its rectangles before any prediction and belongs to the preprocessor;
    what depends on classes comes after the teacher's call.  Draws are functions of the
    keys of the unlabelled images, and nothing waits for the device.

    Args:
        num_classes: K.
        prob: Probability that an image gets something pasted.
        highest: Largest ``prob`` that is allowed.

    Raises:
        ValueError: If ``prob`` is out of its range.
    """

    #: Whether it may follow CutMix of the preprocessor.
    follows_cutmix = False

    def __init__(self, num_classes: int, prob: float, highest: float = 1.0) -> None:
        super().__init__()
        self.num_classes = num_classes
        where = f'semi_train_cfg.mixing: {type(self).__name__}.prob'
        self.prob = check_number(where, prob, 0, highest)

    def observe_labels(self, labels: Tensor) -> None:
        """Learn from the labels of this iteration.

        Args:
            labels: Class ids, 255 counts nowhere, long, (B_l, H, W).
        """

    def forward(
        self,
        strong: Tensor,
        pseudo: PseudoLabels,
        images_l: Tensor,
        labels_l: Tensor,
        keys: Sequence[SampleKey],
    ) -> tuple[Tensor, PseudoLabels]:
        """Mix the unlabelled part of a batch.

        Args:
            strong: Strong views, normalised, (B_u, 3, H, W).
            pseudo: Their pseudo-labels.
            images_l: Labelled images, normalised, (B_l, 3, H, W).
            labels_l: Their class ids, long, (B_l, H, W).
            keys: Identity of each of the B_u unlabelled images.

        Returns:
            Mixed strong views and pseudo-labels, shapes as before.
        """
        raise NotImplementedError


def build_mixing(
    config: Mapping[str, Any] | None, num_classes: int, preprocessor: nn.Module
) -> Mixing | None:
    """Build the mixture that ``semi_train_cfg.mixing`` names.

    Args:
        config: Its config; None for no mixture.
        num_classes: K.
        preprocessor: That of the model, which may do CutMix.

    Returns:
        The mixture, or None.

    Raises:
        ValueError: If it is no mixture, or takes the place of a CutMix that is there.
    """
    if config is None:
        return None
    allowed = 's5_mm.ClassMix or s5_mm.LabelledCopyPaste'
    mixing = build_part('mixing', config, num_classes, Mixing, allowed)
    if getattr(preprocessor, 'cutmix', None) is not None and not mixing.follows_cutmix:
        raise ValueError(
            f'semi_train_cfg.mixing is {type(mixing).__name__}, which takes the place '
            'of data_preprocessor.cutmix; set data_preprocessor.cutmix=None'
        )
    return mixing
