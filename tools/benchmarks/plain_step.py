"""The training steps that ``benchmark_step.py`` compares with.

Driven as the S5 release drives them: S4P with a teacher call in fp32 outside of
autocast over the weak views of images and partners, maps at full resolution, views
mixed through boolean indices, and two values read back from the device each iteration;
MoE-MDF with one pass for each data set.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .plain_model import PlainSegmentor

PADDING = 255


class Views(NamedTuple):
    """What the loaders of the release deliver for one iteration, on the device.

    Attributes:
        sup: Labelled images, normalised, (B_l, 3, S, S).
        labels: Their class ids, 255 is ignored, uint8, (B_l, S, S).
        weak: Weak views of the unlabelled images, (B_u, 3, S, S).
        strong: Their strong views.
        weak_mix: Weak views of the CutMix partners.
        strong_mix: Their strong views.
        box: 1 where the partner is pasted, float, (B_u, S, S).
        padding: 255 where the weak view is padding, else 0, uint8, (B_u, S, S).
        padding_mix: Likewise of the partners.
    """

    sup: Tensor
    labels: Tensor
    weak: Tensor
    strong: Tensor
    weak_mix: Tensor
    strong_mix: Tensor
    box: Tensor
    padding: Tensor
    padding_mix: Tensor


class Update:
    """Gradients and, with an optimiser, the step.

    Args:
        model: Its gradients are cleared.
        dtype: Of autocast; float16 scales the loss.  None: no autocast.
        optimizer: None leaves the weights and gradients as they are.
    """

    def __init__(
        self,
        model: nn.Module,
        dtype: torch.dtype | None = None,
        optimizer: torch.optim.Optimizer | None = None,
    ) -> None:
        self.model, self.dtype, self.optimizer = model, dtype, optimizer
        self.device = next(model.parameters()).device.type
        self.scaler = torch.amp.GradScaler(self.device, enabled=dtype == torch.float16)

    def autocast(self) -> torch.autocast:
        """Mixed precision of the student's pass."""
        return torch.autocast(
            self.device, dtype=self.dtype, enabled=self.dtype is not None
        )

    def __call__(self, loss: Tensor) -> None:
        """Differentiate a loss and update the weights."""
        self.model.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        if self.optimizer is not None:
            self.scaler.step(self.optimizer)
            self.scaler.update()


def plain_s4p_step(
    model: PlainSegmentor, update: Update, views: Views, threshold: float
) -> dict[str, float]:
    """Run one iteration of S4P as the release does.

    Args:
        model: Student and teacher in one.
        update: What follows the loss.
        views: The views.
        threshold: Confidence from which a pseudo-label counts.

    Returns:
        Total loss (L_s + L_u) / 2 and the share of pixels whose pseudo-label counts.
    """
    model.eval()
    with torch.no_grad():
        logits = model(torch.cat([views.weak, views.weak_mix]))
        own, mix = logits.softmax(dim=1).chunk(2)
        (confidence, labels), (confidence_mix, labels_mix) = own.max(1), mix.max(1)
        pasted = views.box == 1
        strong = views.strong.clone()
        wide = pasted.unsqueeze(1).expand(strong.shape)
        strong[wide] = views.strong_mix[wide]
        padding = views.padding.clone()
        confidence[pasted] = confidence_mix[pasted]
        labels[pasted] = labels_mix[pasted]
        padding[pasted] = views.padding_mix[pasted]

    model.train()
    valid = padding != PADDING
    with update.autocast():
        both = model(torch.cat([views.sup, strong]))
        logits_sup, logits_strong = both.split([len(views.sup), len(strong)])
        loss_sup = F.cross_entropy(
            logits_sup, views.labels.long(), ignore_index=PADDING
        )
        entropy = F.cross_entropy(logits_strong, labels, reduction='none')
        confident = (confidence >= threshold) & valid
        loss_unsup = (entropy * confident).sum() / valid.sum()
        loss = (loss_sup + loss_unsup) / 2
    update(loss)
    ratio = confident.sum() / valid.sum()
    return dict(loss=loss.item(), mask_ratio=ratio.item())


def plain_moe_step(
    model: PlainSegmentor,
    update: Update,
    batches: Mapping[str, tuple[Tensor, Tensor]],
) -> dict[str, float]:
    """Run one iteration of MoE-MDF as the release does, a pass for each data set.

    Args:
        model: With experts and heads.
        update: What follows the loss.
        batches: Images (N_t, 3, S, S) and labels uint8 (N_t, S, S) by data set.

    Returns:
        The sum of the losses.
    """
    model.train()
    total = 0.0
    for name, (images, labels) in batches.items():
        with update.autocast():
            logits = model(images, name)
            total = total + F.cross_entropy(logits, labels.long(), ignore_index=PADDING)
    update(total)
    return dict(loss=total.item())
