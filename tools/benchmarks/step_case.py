"""What the cases of ``benchmark_step.py`` share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import Tensor, nn

from s5_mm.models.backbones import resolve_arch
from s5_mm.registry import MODELS

from .plain_model import ReleaseViT
from .plain_step import PADDING, Update

CONFIGS = Path(__file__).parents[2] / 'configs'
Step = Callable[[], 'dict[str, Tensor | float]']


class Case:
    """One training step on random images, of either side.

    Draws its images once and builds either side's model on the same weights, as often
    as it is asked.  Stochastic depth and dropout are off, so both sides compute the
    same loss; everything else is that of the config that follows the S5 release.

    Args:
        arch: Size of the ViT, a name of ``s5_mm.models.backbones.ARCHS``.
        img_size: Side of the images in pixels, a multiple of 32.
        batch: Labelled images, of each data set where there are several; S4P has as
            many unlabelled ones.
        device: 'cpu' or 'cuda'.
        double: Weights and images in fp64.
    """

    #: Config below ``configs/``.
    config = ''
    #: What the step is of.
    kind = ''
    #: Images that a step trains on.
    images_per_step = 0

    def __init__(
        self,
        arch: str,
        img_size: int = 512,
        batch: int = 1,
        device: str = 'cpu',
        double: bool = False,
    ) -> None:
        init_default_scope('mmseg')
        torch.manual_seed(0)
        self.name, self.arch = arch.upper(), resolve_arch(arch)
        self.img_size, self.batch, self.device = img_size, batch, device
        self.dtype = torch.float64 if double else torch.float32
        self.model_config = Config.fromfile(CONFIGS / self.config).model
        self.customise(self.model_config, arch)
        self.weights: dict[str, Tensor] | None = None

    def customise(self, model: dict, arch: str) -> None:
        """Set size and determinism in the config of the model."""
        segmentor = model.get('segmentor', model)
        segmentor.backbone.update(
            arch=arch, img_size=self.img_size, drop_path_rate=0.0, init_cfg=None
        )
        width = self.arch.embed_dims
        segmentor.decode_head.update(in_channels=[width] * 4, dropout_ratio=0.0)

    @property
    def title(self) -> str:
        """What a table is of."""
        return (
            f'step of {self.kind}, ViT-{self.name}, {self.images_per_step} images of '
            f'{self.img_size} px'
        )

    def images(self, count: int) -> Tensor:
        """Draw normalised images, (count, 3, S, S)."""
        side = self.img_size
        return torch.randn(count, 3, side, side, device=self.device, dtype=self.dtype)

    def labels(self, count: int, classes: int) -> Tensor:
        """Draw labels with an ignored stripe, uint8, (count, S, S)."""
        shape = (count, self.img_size, self.img_size)
        labels = torch.randint(0, classes, shape, dtype=torch.uint8, device=self.device)
        labels[:, : self.img_size // 8] = PADDING
        return labels

    def ours(self) -> nn.Module:
        """Build this package's model, at the first call with new weights."""
        with torch.device(self.device):
            model = MODELS.build(self.model_config).to(self.dtype)
        if self.weights is None:
            self.prepare(model)
            self.weights = {k: v.cpu().clone() for k, v in model.state_dict().items()}
        else:
            model.load_state_dict(self.weights)
        return model.train()

    def prepare(self, model: nn.Module) -> None:
        """Bring a new model into a state in which the step does its work."""

    def plain_vit(self, recompute: bool) -> ReleaseViT:
        """Build the ViT of mmcv's and mmseg's blocks."""
        backbone = self.model_config.get('segmentor', self.model_config).backbone
        return ReleaseViT(
            self.arch,
            self.img_size,
            norm_eps=backbone.norm_eps,
            recompute=recompute,
            datasets=list(getattr(self, 'classes', ())),
            part_features=backbone.get('part_features', 0),
        )

    def fill(self, plain: nn.Module, prefix: str = '') -> nn.Module:
        """Give the plain model the weights of ours."""
        weights = {
            name.removeprefix(prefix): value
            for name, value in self.weights.items()
            if name.startswith(prefix)
        }
        plain = plain.to(self.device, self.dtype)
        plain.load_state_dict(weights)
        return plain

    def plain(self, recompute: bool = True) -> nn.Module:
        """Build the model of the release's blocks on the same weights."""
        raise NotImplementedError

    def our_step(self, model: nn.Module, update: Update) -> Step:
        """Give what runs one iteration of this package."""
        raise NotImplementedError

    def plain_step(self, model: nn.Module, update: Update) -> Step:
        """Give what runs one iteration of the release."""
        raise NotImplementedError
