"""What ``benchmark_step.py`` measures: models, images and steps of both sides.

A case draws its images once and builds either side's model on the same weights, as
often as it is asked; stochastic depth and dropout are off, so both sides compute the
same loss.  Everything else is that of the configs that follow the S5 release.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from plain_model import PlainSegmentor, PlainViT
from plain_step import PADDING, Update, Views, plain_moe_step, plain_s4p_step
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from s5_mm.models.backbones import resolve_arch
from s5_mm.models.data_preprocessors import CutMix
from s5_mm.models.data_preprocessors.cutmix import MixPlan
from s5_mm.registry import MODELS

CONFIGS = Path(__file__).parents[2] / 'configs'
Step = Callable[[], 'dict[str, Tensor | float]']


class Case:
    """One training step on random images.

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
        self.arch = resolve_arch(arch)
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

    def plain_vit(self, recompute: bool) -> PlainViT:
        """Build the ViT of mmcv's and mmseg's blocks."""
        backbone = self.model_config.get('segmentor', self.model_config).backbone
        return PlainViT(
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


class S4PCase(Case):
    """S4P: teacher on the weak views, student on labelled and strong ones.

    Args:
        partners: 'separate', a second view of every unlabelled image as in the
            release, or 'batch', neighbours in the batch, with which this package's
            teacher sees half as many images; the plain step sees the same partners
            through a second loader either way.
        **kwargs: See :class:`Case`.
    """

    config = 's4p/vit-b_rs4p1m_release.py'

    def __init__(self, partners: str = 'separate', **kwargs: object) -> None:
        super().__init__(**kwargs)
        count, side = self.batch, self.img_size
        weak, strong = self.images(count), self.images(count)
        padding = torch.zeros(count, side, side, dtype=torch.uint8, device=self.device)
        padding[0, side - side // 4 :] = PADDING
        if partners == 'batch':
            partner = torch.from_numpy(CutMix.partners(count)).to(self.device)
            mixed = [part[partner] for part in (weak, strong, padding)]
            index, rows = partner, slice(count)
        else:
            mixed = [self.images(count), self.images(count), padding.flip(1)]
            index = torch.arange(count, 2 * count, device=self.device)
            rows = slice(2 * count)
        box = torch.zeros(count, side, side, device=self.device)
        box[:, side // 4 : side // 2, side // 8 : side // 2] = 1
        labels = self.labels(count, self.model_config.segmentor.decode_head.num_classes)
        self.views = Views(
            self.images(count), labels, weak, strong, mixed[0], mixed[1], box,
            padding, mixed[2],
        )  # fmt: skip
        self.strong = torch.cat([strong, mixed[1]])[rows]
        self.mix = MixPlan(
            region=box.bool(),
            partner=index,
            valid=torch.cat([padding, mixed[2]])[rows] != PADDING,
        )
        self.inputs = dict(
            sup=self.views.sup, unsup_weak=torch.cat([weak, mixed[0]])[rows]
        )
        self.samples = [
            SegDataSample(gt_sem_seg=PixelData(data=label.unsqueeze(0)))
            for label in labels
        ]
        self.images_per_step = 2 * count
        self.threshold = 0.0

    @torch.no_grad()
    def prepare(self, model: nn.Module) -> None:
        """Set batch statistics, spread the logits, take the median confidence as tau.

        A new network is never confident: without this the unlabelled loss would be
        zero, and the comparison blind to it.
        """
        # Two: pooled to one pixel, a single image has no batch statistics.
        student = model.student
        images = torch.cat([self.inputs['unsup_weak'], self.views.sup])[:2]
        norms = [m for m in student.modules() if isinstance(m, _BatchNorm)]
        for norm in norms:
            norm.momentum = None
        student.train().decode_head(student.extract_feat(images))
        for norm in norms:
            norm.momentum = 0.1
        head = student.eval().decode_head
        logits = head(student.extract_feat(images))
        head.conv_seg.weight.mul_(4 / logits.std())
        confidence = head(student.extract_feat(images)).softmax(1).amax(1)
        self.threshold = round(confidence.median().item(), 3)

    def ours(self) -> nn.Module:
        """Build this package's model."""
        model = super().ours()
        model.train_cfg['conf_thresh'] = self.threshold
        return model

    def plain(self, recompute: bool = True) -> PlainSegmentor:
        """Build the model of the release's blocks on the same weights."""
        head = self.model_config.segmentor.decode_head
        vit = self.plain_vit(recompute)
        plain = PlainSegmentor(vit, self.arch.embed_dims, head.num_classes)
        return self.fill(plain, 'student.')

    def our_step(self, model: nn.Module, update: Update) -> Step:
        """Give what runs one iteration of this package."""
        count = self.batch

        def step() -> dict[str, Tensor]:
            strong = self.mix.mix(self.strong[:count], self.strong)
            with update.autocast():
                losses = model.loss(
                    dict(self.inputs, unsup_strong=strong),
                    dict(sup=self.samples),
                    self.mix,
                )
                loss, logged = model.parse_losses(losses)
            update(loss)
            return logged

        return step

    def plain_step(self, model: nn.Module, update: Update) -> Step:
        """Give what runs one iteration of the release."""
        return partial(plain_s4p_step, model, update, self.views, self.threshold)


class MoECase(Case):
    """MoE-MDF: ``batch`` images of each of four data sets.

    Args:
        **kwargs: See :class:`Case`.
    """

    config = 'finetune_seg/moe-mdf_vit-b_release.py'

    def __init__(self, **kwargs: object) -> None:
        super().__init__(**kwargs)
        datasets = self.model_config.datasets
        self.classes = {name: own.num_classes for name, own in datasets.items()}
        self.batches = {
            name: (self.images(self.batch), self.labels(self.batch, count))
            for name, count in self.classes.items()
        }
        self.mixed = torch.cat([images for images, _ in self.batches.values()])
        self.samples = [
            SegDataSample(
                metainfo=dict(dataset_name=name),
                gt_sem_seg=PixelData(data=label.unsqueeze(0)),
            )
            for name, (_, labels) in self.batches.items()
            for label in labels
        ]
        self.images_per_step = len(self.samples)

    def customise(self, model: dict, arch: str) -> None:
        """Let all data sets take part from the start; fit experts to small ViTs."""
        super().customise(model, arch)
        for own in model.datasets.values():
            own.start_iter = 0
        # The release's 256 are a third of ViT-B; smaller ones are for tests.
        model.backbone.part_features = min(256, self.arch.embed_dims // 3)

    def plain(self, recompute: bool = True) -> PlainSegmentor:
        """Build the model of the release's blocks on the same weights."""
        vit = self.plain_vit(recompute)
        return self.fill(PlainSegmentor(vit, self.arch.embed_dims, self.classes))

    def our_step(self, model: nn.Module, update: Update) -> Step:
        """Give what runs one iteration of this package."""

        def step() -> dict[str, Tensor]:
            with update.autocast():
                losses = model.loss(self.mixed, self.samples)
                loss, logged = model.parse_losses(losses)
            update(loss)
            return logged

        return step

    def plain_step(self, model: nn.Module, update: Update) -> Step:
        """Give what runs one iteration of the release."""
        return partial(plain_moe_step, model, update, self.batches)
