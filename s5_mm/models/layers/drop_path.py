"""Stochastic depth."""

from __future__ import annotations

from torch import Tensor, nn

from s5_mm.utils.argument_checks import check_number


class DropPath(nn.Module):
    """Drop the residual branch of whole samples (stochastic depth).

    mmcv's ``DropPath`` draws its uniform numbers in the dtype of the activations: in
    bf16 it drops 1.17 % for a rate of 1 % and nothing for 0.1 % (measured over 2e6
    draws). Here the draw and the scale ``1 / keep`` are fp32 whatever the activations.

    Args:
        drop_prob: Share of samples whose branch is dropped, in [0, 1).

    Raises:
        ValueError: ``drop_prob`` is outside [0, 1).
    """

    def __init__(self, drop_prob: float = 0.0) -> None:
        super().__init__()
        self.drop_prob = check_number('drop_prob', drop_prob, 0, below=1)

    def forward(self, x: Tensor) -> Tensor:
        """Drop and rescale.

        Args:
            x: Branch output (N, ...), any float dtype.

        Returns:
            Same shape and dtype; in training each sample is zero with probability
            ``drop_prob`` and otherwise divided by ``1 - drop_prob``.
        """
        if not self.training or self.drop_prob == 0.0:
            return x
        keep = 1.0 - self.drop_prob
        mask = x.new_empty((x.shape[0],) + (1,) * (x.ndim - 1)).float()
        return (x * mask.bernoulli_(keep).div_(keep)).to(x.dtype)

    def extra_repr(self) -> str:
        """Show the rate in ``print(model)``."""
        return f'drop_prob={self.drop_prob:.4g}'
