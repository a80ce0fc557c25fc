"""Copy classes of labelled images into unlabelled ones, rare classes first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.dist import all_reduce
from torch import Tensor
from torch.nn.functional import one_hot

from s5_mm.registry import MODELS
from s5_mm.utils import SampleKey, View, sample_generator

from ..pseudo_labels import PseudoLabels
from .base import Mixing


@MODELS.register_module()
class LabelledCopyPaste(Mixing):
    """Paste a class of a labelled image of the batch, with its true label.

    The class is drawn among those in the labels of the batch, with a probability that
    is inverse to its share of the labelled pixels seen so far; the image among those
    that show it.  All its pixels are pasted where they are, with confidence and weight
    1.  The idea is AEL's (Hu et al. 2021), the class frequencies instead of its
    confidence bank are ours.  Comes after CutMix if the preprocessor has one.

    Seams and shadows are what it teaches if it is done too often, so ``prob`` is at
    most 0.5; and the labelled images must have the ground resolution of the others.

    Args:
        num_classes: K.
        prob: Probability that an image gets a class pasted.
        classes: Ids of the classes that are drawn from; None: all.

    Raises:
        ValueError: If an argument is out of its range.
    """

    follows_cutmix = True
    allowed: Tensor
    pixels: Tensor

    def __init__(
        self,
        num_classes: int,
        prob: float = 0.25,
        classes: Sequence[int] | None = None,
    ) -> None:
        super().__init__(num_classes, prob, highest=0.5)
        ids = range(num_classes) if classes is None else classes
        if not _are_ids(ids, num_classes):
            raise ValueError(
                f'semi_train_cfg.mixing: classes={classes!r} of LabelledCopyPaste, '
                f'expected ids in 0..{num_classes - 1}'
            )
        allowed = torch.zeros(num_classes, dtype=torch.bool)
        allowed[list(ids)] = True
        self.register_buffer('allowed', allowed, persistent=False)
        # In the checkpoint: what was seen so far decides what is drawn.
        self.register_buffer('pixels', torch.zeros(num_classes, dtype=torch.int64))

    @torch.no_grad()
    def observe_labels(self, labels: Tensor) -> None:
        """Count the labelled pixels of all processes, see :class:`Mixing`."""
        counts = torch.zeros(256, dtype=torch.int64, device=labels.device)
        counts.scatter_add_(0, labels.flatten(), torch.ones_like(labels).flatten())
        counts = counts[: self.num_classes].contiguous()
        all_reduce(counts)
        self.pixels += counts

    def forward(
        self,
        strong: Tensor,
        pseudo: PseudoLabels,
        images_l: Tensor,
        labels_l: Tensor,
        keys: Sequence[SampleKey],
    ) -> tuple[Tensor, PseudoLabels]:
        """Paste from the labelled images, see :meth:`Mixing.forward`.

        Raises:
            ValueError: If labelled and unlabelled images differ in size.
        """
        if images_l.shape[-2:] != strong.shape[-2:]:
            sizes = [f'{x.shape[-1]}x{x.shape[-2]}' for x in (images_l, strong)]
            raise ValueError(
                f'LabelledCopyPaste: labelled crops of {sizes[0]} px and unlabelled '
                f'ones of {sizes[1]} px; expected the same crop_size for both'
            )
        drawn = torch.from_numpy(self.draw(keys, len(images_l)))
        drawn = drawn.to(strong.device, non_blocking=True)
        applied, by_class, by_image = drawn.split(
            [1, self.num_classes, len(images_l)], dim=1
        )
        label, source = self.choose(labels_l, by_class, by_image)
        truth = labels_l.index_select(0, source)
        region = (truth == label.view(-1, 1, 1)) & (applied.view(-1, 1, 1) > 0)
        images = images_l.index_select(0, source).to(strong.dtype)
        soft = pseudo.probabilities
        if soft is not None:
            # Where nothing is pasted a label may be 255.
            ids = truth.clamp(max=self.num_classes - 1)
            certain = one_hot(ids, self.num_classes).movedim(-1, 1).to(soft.dtype)
            soft = torch.where(region.unsqueeze(1), certain, soft)
        return (
            torch.where(region.unsqueeze(1), images, strong),
            PseudoLabels(
                torch.where(region, truth, pseudo.labels),
                pseudo.confidence.masked_fill(region, 1),
                pseudo.valid | region,
                pseudo.weight.masked_fill(region, 1),
                soft,
            ),
        )

    def draw(self, keys: Sequence[SampleKey], labelled: int) -> np.ndarray:
        """Draw what decides over class and image.

        Args:
            keys: Identity of each of the N unlabelled images.
            labelled: Number of labelled images.

        Returns:
            float32, (N, 1 + K + labelled): 1 where an image gets something pasted, else
            0; a Gumbel variable for each class and each labelled image.
        """
        drawn = np.empty((len(keys), 1 + self.num_classes + labelled), np.float32)
        for row, key in enumerate(keys):
            generator = sample_generator(key, View.MIXING)
            drawn[row, 0] = generator.random() < self.prob
            drawn[row, 1:] = generator.gumbel(size=drawn.shape[1] - 1)
        return drawn

    def choose(
        self, labels: Tensor, by_class: Tensor, by_image: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Choose class and labelled image for each unlabelled one.

        The largest sum of a log-weight and a Gumbel variable is a draw with these
        weights (Gumbel-max), and needs no probabilities on the host.

        Args:
            labels: Labels of the batch, long, (B_l, H, W).
            by_class: Gumbel variables, (N, K).
            by_image: Gumbel variables, (N, B_l).

        Returns:
            Class, long, (N,), -1 where the batch has none of those allowed, and row of
            the labelled image, long, (N,).
        """
        flat = labels.flatten(1)
        there = flat.new_zeros(len(labels), 256)
        there = there.scatter_(1, flat, 1)[:, : self.num_classes] > 0  # (B_l, K)
        possible = there.any(0) & self.allowed
        weight = -self.pixels.clamp(min=1).to(by_class.dtype).log()
        weight = weight.masked_fill(~possible, -torch.inf)
        label = (weight + by_class).argmax(1)
        shows = there.t().index_select(0, label)  # (N, B_l)
        source = by_image.masked_fill(~shows, -torch.inf).argmax(1)
        return torch.where(possible.any(), label, -1), source


def _are_ids(classes: Any, num_classes: int) -> bool:
    """Return whether this is a list of class ids that names at least one."""
    return (
        isinstance(classes, Sequence)
        and len(classes) > 0
        and all(type(one) is int and 0 <= one < num_classes for one in classes)
    )
