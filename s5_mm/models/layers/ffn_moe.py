"""FFN-MoE: the feed-forward part with an expert for each data set (Eq. 8-10)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from s5_mm.utils.routing import DatasetSlice, RoutingError

from .feed_forward import FeedForward
from .linear import Linear


class FFNMoE(FeedForward):
    """Feed-forward part whose second linear layer is shared in part.

    ``Concat(Linear_shared(h), Linear_specific^t(h))`` of ``h = GELU(Linear(x))``: the
    first ``C - part_features`` channels come from ``layers.1``, which all data sets
    train, the last ones from ``experts.<t>``, which the samples of data set t alone
    train.  The paper writes ReLU in Eq. 8; MAE's weights and the release want GELU.

    A dense ``layers.1`` of a checkpoint is split: its first rows become the shared
    part and every expert gets a copy of the last ones, so that at the start the
    network is the dense one for every data set.

    Args:
        embed_dims: Width C.
        feedforward_channels: Hidden width D, 4C in every ViT of the paper.
        part_features: Channels of the experts, alpha C in Eq. 9.
        datasets: Names of the data sets.
    """

    def __init__(
        self,
        embed_dims: int,
        feedforward_channels: int,
        part_features: int,
        datasets: Sequence[str],
    ) -> None:
        self.part_features = part_features
        super().__init__(embed_dims, feedforward_channels)
        self.experts = nn.ModuleDict(
            {name: Linear(feedforward_channels, part_features) for name in datasets}
        )

    def make_output(self, feedforward_channels: int, embed_dims: int) -> nn.Module:
        """Build the shared part, ``layers.1``."""
        return Linear(feedforward_channels, embed_dims - self.part_features)

    def contract(
        self,
        hidden: Tensor,
        slices: Sequence[DatasetSlice] | None = None,
        **routing: Any,
    ) -> Tensor:
        """Map hidden features back to the width, each slice with its expert.

        Args:
            hidden: Samples contiguous by data set, (N, L, D).
            slices: Which samples are whose, in order.  None with one expert: all.
            **routing: Not used.

        Returns:
            (N, L, C).

        Raises:
            RoutingError: No slices, slices that do not cover the N samples in order,
                or one of a data set without expert.
        """
        experts = self._experts_of(slices, len(hidden))
        parts = hidden.split([size for _, size in experts])
        specific = [
            expert(part) for (expert, _), part in zip(experts, parts, strict=True)
        ]
        return torch.cat([self.layers[1](hidden), torch.cat(specific)], dim=-1)

    def _experts_of(
        self, slices: Sequence[DatasetSlice] | None, count: int
    ) -> list[tuple[nn.Module, int]]:
        """Each slice's expert and number of samples."""
        if slices is None and len(self.experts) == 1:
            return [(next(iter(self.experts.values())), count)]
        if slices is None:
            raise RoutingError(
                'the batch does not say which data set its samples come from; this '
                f'model has experts for {list(self.experts)}'
            )
        ends = [0, *(part.stop for part in slices)]
        if [*(part.start for part in slices), count] != ends:
            raise RoutingError(
                f'slices {[tuple(part) for part in slices]} do not cover the '
                f'{count} samples of the batch one after the other'
            )
        missing = [part.name for part in slices if part.name not in self.experts]
        if missing:
            raise RoutingError(
                f'no expert for the data set {missing[0]!r}; this model has experts '
                f'for {list(self.experts)}'
            )
        return [(self.experts[part.name], part.stop - part.start) for part in slices]

    def _load_from_state_dict(
        self, state_dict: dict, prefix: str, *args: object, **kwargs: object
    ) -> None:
        """Split a dense second layer, then load."""
        self.split_dense(state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    def fold(self, dataset: str) -> dict[str, Tensor]:
        """Make the dense second layer that does what one data set's path does.

        Args:
            dataset: Name of the data set.

        Returns:
            ``weight`` (C, D) and ``bias`` (C,), detached.
        """
        shared, expert = self.layers[1], self.experts[dataset]
        return {
            kind: torch.cat(
                [shared.get_parameter(kind), expert.get_parameter(kind)]
            ).detach()
            for kind in ('weight', 'bias')
        }

    def split_dense(self, state: dict[str, Any], prefix: str = '') -> bool:
        """Turn a dense second layer in a checkpoint into shared part and experts.

        Args:
            state: Tensors by name; changed in place.
            prefix: What precedes this module's own names.

        Returns:
            Whether there was a dense layer to split.
        """
        found = False
        for kind in ('weight', 'bias'):
            dense = state.get(f'{prefix}layers.1.{kind}')
            own = getattr(self.layers[1], kind)
            whole = (len(own) + self.part_features, *own.shape[1:])
            if dense is None or tuple(dense.shape) != whole:
                continue
            found = True
            state[f'{prefix}layers.1.{kind}'] = dense[: len(own)]
            for name in self.experts:
                state[f'{prefix}experts.{name}.{kind}'] = dense[len(own) :].clone()
        return found
