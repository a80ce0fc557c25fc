"""S4P as a case of ``benchmark_step.py``."""

from __future__ import annotations

from functools import partial

import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from s5_mm.models.data_preprocessors import CutMix
from s5_mm.models.data_preprocessors.cutmix import MixPlan

from .plain_model import PlainSegmentor
from .plain_step import PADDING, Update, Views, plain_s4p_step
from .step_case import Case, Step


class S4PCase(Case):
    """S4P: teacher on the weak views, student on labelled and strong ones.

    Args:
        partners: 'separate', a second view of every unlabelled image as in the
            release, or 'batch', neighbours in the batch, with which this package's
            teacher sees half as many images; the plain step sees the same partners
            through a second loader either way.
        **kwargs: See :class:`Case`.
    """

    config, kind = 's4p/vit-b_rs4p1m_release.py', 'S4P'

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
        model.threshold.value = self.threshold
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
