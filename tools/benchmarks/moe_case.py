"""MoE-MDF for segmentation as a case of ``benchmark_step.py``."""

from __future__ import annotations

from functools import partial

import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from .plain_model import PlainSegmentor
from .plain_step import Update, plain_moe_step
from .step_case import Case, Step


class MoECase(Case):
    """MoE-MDF: ``batch`` images of each of four data sets.

    Args:
        **kwargs: See :class:`Case`.
    """

    config, kind = 'finetune_seg/moe-mdf_vit-b_release.py', 'MoE-MDF'

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
