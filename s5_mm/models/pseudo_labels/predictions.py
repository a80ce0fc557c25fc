"""What the teacher says about unlabelled images, before and after mixing."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Predictions(NamedTuple):
    """Predictions of the teacher on the M weak views, nothing pasted yet.

    Attributes:
        labels: y-hat = argmax p, class ids, long, (M, H, W).
        confidence: max p, in [0, 1], (M, H, W).
        valid: Pixels that are no padding, bool, (M, H, W).
        probabilities: p, (M, K, H, W); None where nobody needs more than its maximum.
    """

    labels: Tensor
    confidence: Tensor
    valid: Tensor
    probabilities: Tensor | None = None

    @property
    def counted(self) -> Tensor:
        """Pixels that a rule may learn from, bool, (M, H, W).

        Those that are no padding, and finite: the update of an iteration that overflows
        is skipped, but a NaN in a moving average would never leave it.
        """
        return self.valid & self.confidence.isfinite()

    @property
    def distribution(self) -> Tensor:
        """``probabilities`` for a rule that needs them, (M, K, H, W).

        Raises:
            ValueError: There are none: ``needs_probabilities`` of the rule is not set.
        """
        if self.probabilities is None:
            raise ValueError(
                'the predictions have no probabilities; expected a threshold with '
                'needs_probabilities = True'
            )
        return self.probabilities


class PseudoLabels(NamedTuple):
    """Pseudo-labels of the B_u strong views, mixed as the images are.

    Attributes:
        labels: y-hat, class ids, long, (B_u, H, W).
        confidence: max p, in [0, 1], (B_u, H, W).
        valid: Pixels that are no padding, bool, (B_u, H, W).
        weight: How much each pixel counts in L_us, in [0, 1], 0 on padding, floating
            type, (B_u, H, W).
        probabilities: p, the soft targets, (B_u, K, H, W); None if y-hat is the target.
    """

    labels: Tensor
    confidence: Tensor
    valid: Tensor
    weight: Tensor
    probabilities: Tensor | None = None
