"""ClassMix (Olsson et al. 2021): half of an image's predicted classes on another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from s5_mm.registry import MODELS
from s5_mm.utils import SampleKey, View, sample_generator

from ..data_preprocessors import CutMix
from ..pseudo_labels import PseudoLabels
from .base import Mixing


@MODELS.register_module()
class ClassMix(Mixing):
    """Paste half of the classes that the teacher sees in one image on another.

    Of the K_A classes that are predicted in the valid pixels of the partner A,
    ceil(K_A / 2), all choices equally likely, are pasted where they are; confident or
    not, as in the paper.  Partners are neighbours in the batch, see
    :meth:`CutMix.partners`.  It takes the place of CutMix: a pasted rectangle would be
    pasted once more in pieces.

    Args:
        num_classes: K.
        prob: Probability that an image gets a mixture.

    Raises:
        ValueError: If ``prob`` is out of its range.
    """

    def __init__(self, num_classes: int, prob: float = 0.5) -> None:
        super().__init__(num_classes, prob)

    def forward(
        self,
        strong: Tensor,
        pseudo: PseudoLabels,
        images_l: Tensor,
        labels_l: Tensor,
        keys: Sequence[SampleKey],
    ) -> tuple[Tensor, PseudoLabels]:
        """Mix each image with its partner, see :meth:`Mixing.forward`.

        Raises:
            ValueError: If there is a single image, which has no partner.
        """
        if len(strong) < 2:
            raise ValueError(
                'ClassMix: 1 unlabelled image in the batch of a process, expected at '
                "least 2; raise the sampler's shares of 'unsup'"
            )
        drawn = torch.from_numpy(self.draw(keys)).to(strong.device, non_blocking=True)
        partner, order = drawn[:, 0], drawn[:, 1:]
        parts = [part for part in (strong, *pseudo) if part is not None]
        theirs = [part.index_select(0, partner) for part in parts]
        labels, valid = theirs[1], theirs[3]
        chosen = half_of_classes(labels, valid, order)
        region = chosen.gather(1, labels.flatten(1)).view_as(labels) & valid
        mixed = [
            torch.where(region.unsqueeze(1) if own.dim() == 4 else region, new, own)
            for own, new in zip(parts, theirs, strict=True)
        ]
        return mixed[0], PseudoLabels(*mixed[1:])

    def draw(self, keys: Sequence[SampleKey]) -> np.ndarray:
        """Draw partners and the order in which classes are chosen.

        Args:
            keys: Identity of each of the N images.

        Returns:
            int64, (N, 1 + K): row of the partner, the image's own where it is left as
            it is, then the rank of each class.
        """
        drawn = np.empty((len(keys), 1 + self.num_classes), np.int64)
        drawn[:, 0] = CutMix.partners(len(keys))
        for row, key in enumerate(keys):
            generator = sample_generator(key, View.MIXING)
            if generator.random() >= self.prob:
                drawn[row, 0] = row
            drawn[row, 1:] = generator.permutation(self.num_classes)
        return drawn


def half_of_classes(labels: Tensor, valid: Tensor, order: Tensor) -> Tensor:
    """Choose half of the classes in each image, rounded up.

    Args:
        labels: Class ids, long, (N, H, W).
        valid: Pixels that count, bool, (N, H, W).
        order: Rank of each class, long, (N, K): lower ones are chosen first.

    Returns:
        Whether a class is chosen, bool, (N, K).
    """
    present = torch.zeros_like(order)
    present = present.scatter_add_(1, labels.flatten(1), valid.flatten(1).long()) > 0
    # Classes that are not there come last.
    order = torch.where(present, order, order + order.shape[1])
    rank = order.argsort(1).argsort(1)
    return present & (2 * rank < present.sum(1, keepdim=True))
