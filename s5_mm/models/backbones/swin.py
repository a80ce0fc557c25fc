"""mmseg's Swin transformer as a backbone of this package's models."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import mmseg.models.backbones as host
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from s5_mm.registry import MODELS


@MODELS.register_module()
class SwinTransformer(host.SwinTransformer):
    """``mmseg.SwinTransformer``, same arguments, parameters and keys.

    What the host's lacks: it takes the routing of models of several data sets, tells
    the depth of its parameters for layer-wise learning rates (the host's constructor
    for those knows no Swin), and is built on the meta device.  Weights of Swin, SimMIM
    and GFM load by ``load_from`` (format 'swin').

    Args:
        **kwargs: Arguments of mmseg's ``SwinTransformer``.
    """

    def __init__(self, **kwargs: Any) -> None:
        with _LinspaceOnCpu():
            super().__init__(**kwargs)

    def forward(self, x: Tensor, **routing: Any) -> Sequence[Tensor]:
        """Extract features.

        Args:
            x: Normalised images (N, in_channels, H, W).
            **routing: Ignored: all data sets share every parameter.

        Returns:
            Maps (N, C 2^i, H / s, W / s) of the stages in ``out_indices``.
        """
        return super().forward(x)

    @property
    def feature_channels(self) -> tuple[int, ...]:
        """Channels of each map that :meth:`forward` returns."""
        return tuple(self.num_features[stage] for stage in self.out_indices)

    def no_weight_decay(self) -> set[str]:
        """Name the parameters that weight decay should leave alone."""
        tables = ('relative_position_bias_table', 'absolute_pos_embed')
        return {name for name, _ in self.named_parameters() if name.endswith(tables)}

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """Tell the depth of a parameter, for layer-wise learning rates.

        Args:
            param_name: Full name of the parameter.
            prefix: What precedes the backbone's own names, e.g. ``'backbone.'``.

        Returns:
            (depth, number of depths): 0 for the embeddings, then one for each block,
            with what merges its patches, and the last for the norms of the outputs and
            for names outside.
        """
        depths = [len(stage.blocks) for stage in self.stages]
        total = sum(depths) + 2
        if not param_name.startswith(prefix):
            return total - 1, total
        name = param_name[len(prefix) :]
        if name.startswith(('patch_embed.', 'absolute_pos_embed')):
            return 0, total
        found = re.match(r'stages\.(\d+)\.(?:blocks\.(\d+)|downsample)\.', name)
        if found is None:
            return total - 1, total
        stage = int(found[1])
        block = depths[stage] - 1 if found[2] is None else int(found[2])
        return sum(depths[:stage]) + block + 1, total


class _LinspaceOnCpu(TorchFunctionMode):
    """Keeps the host's rates, which it reads with ``item()``, off the meta device."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run a function of torch."""
        named = dict(kwargs or {})
        if func is torch.linspace:
            named.setdefault('device', 'cpu')
        return func(*args, **named)
