"""ViT with FFN-MoE: one backbone for several data sets."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from torch import Tensor, nn

from s5_mm.checkpoints.errors import SKIP_OPTION, CheckpointError
from s5_mm.models.layers import FFNMoE
from s5_mm.registry import MODELS
from s5_mm.utils.argument_checks import check_number
from s5_mm.utils.routing import check_dataset_names

from .vit import ViT

_EXPERT = re.compile(r'^layers\.\d+\.ffn\.experts\.([^.]+)\.(?:weight|bias)$')


@MODELS.register_module()
class ViTMoE(ViT):
    """A :class:`ViT` in whose layers a part of the FFN belongs to each data set.

    Called as ``backbone(images, slices=...)`` with samples contiguous by data set
    (:func:`s5_mm.utils.routing.contiguous_slices`): attention, the first linear layer
    and the shared part see all tokens at once, each expert its slice.  With one data
    set ``slices`` may be left out.

    Dense checkpoints load (:class:`FFNMoE`): every data set starts from the dense
    network.  Width of the experts over C is 1/3, 1/4, 1/5 for B, L, H with 256.

    Args:
        datasets: Names of the data sets, those of the samples' ``dataset_name``.
        part_features: Channels of the experts.  The release uses 256 for every size;
            the paper's Table 3 calls 128, 256, 512 of ViT-B alpha = 1/8, 1/4, 1/2,
            by its numbers of parameters they are 1/6, 1/3, 2/3 of 768.
        **kwargs: Arguments of :class:`ViT`.

    Raises:
        ValueError: No or unfit names, or ``part_features`` is not in 1..C.
    """

    def __init__(
        self, datasets: Sequence[str], part_features: int = 256, **kwargs: Any
    ) -> None:
        self.datasets = check_dataset_names(datasets, 'ViTMoE')
        self.part_features = part_features
        super().__init__(**kwargs)

    def make_ffn(self, embed_dims: int, feedforward_channels: int) -> nn.Module:
        """Build the feed-forward part of one layer."""
        part = self.part_features
        why = ', the width of the ViT; without experts use s5_mm.ViT'
        check_number('part_features', part, 1, embed_dims, whole=True, why=why)
        return FFNMoE(embed_dims, feedforward_channels, part, self.datasets)

    def translate_checkpoint(
        self,
        state: dict[str, Tensor],
        prefix: str = '',
        mismatch: Literal['raise', 'skip'] = 'raise',
    ) -> list[str]:
        """Make a dense checkpoint one of this model, see ``fit_to_model``.

        Args:
            state: Tensors by this model's names; dense second layers are split in
                place into shared part and experts.
            prefix: What precedes this backbone's own names.
            mismatch: Whether a mixture that lacks some of this model's experts is an
                error, or what it has is loaded.

        Returns:
            What was done, for the log; empty if nothing.

        Raises:
            CheckpointError: The checkpoint's experts are those of other data sets.
        """
        stored = _experts_in(state, prefix)
        missing = [name for name in self.datasets if name not in stored]
        if stored and missing and mismatch == 'raise':
            raise CheckpointError(
                f'it holds experts for {stored}, none for {missing}; to load what '
                f'matches and start the rest anew: {SKIP_OPTION}'
            )
        split = [
            ffn.split_dense(state, f'{prefix}layers.{index}.ffn.')
            for index, ffn in enumerate(self._mixtures())
        ]
        if not any(split):
            return []
        return [
            f'{sum(split)} dense FFN layers split into the shared part and a copy of '
            f'their last {self.part_features} channels for each of '
            f'{list(self.datasets)}'
        ]

    def fold_state(self, dataset: str) -> dict[str, Tensor]:
        """Weights of the dense ViT that does what one data set's path does.

        Args:
            dataset: Name of the data set.

        Returns:
            State dict of a :class:`ViT` of the same size.
        """
        state = {
            name: value
            for name, value in self.state_dict().items()
            if _EXPERT.match(name) is None
        }
        for index, ffn in enumerate(self._mixtures()):
            for kind, value in ffn.fold(dataset).items():
                state[f'layers.{index}.ffn.layers.1.{kind}'] = value
        return state

    def _mixtures(self) -> list[FFNMoE]:
        """List the feed-forward parts, one per layer."""
        parts = [layer.ffn for layer in self.layers]
        return [part for part in parts if isinstance(part, FFNMoE)]


def _experts_in(names: Iterable[str], prefix: str) -> list[str]:
    """List the data sets that the tensors below a prefix are experts for."""
    own = (name[len(prefix) :] for name in names if name.startswith(prefix))
    return list(dict.fromkeys(m[1] for m in map(_EXPERT.match, own) if m))
