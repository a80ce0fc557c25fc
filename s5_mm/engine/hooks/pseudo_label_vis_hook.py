"""Pictures of what the unlabelled branch is taught."""

from __future__ import annotations

import os.path as osp
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from s5_mm.registry import HOOKS
from s5_mm.visualization import PseudoLabelView, pseudo_label_panel

if TYPE_CHECKING:
    from s5_mm.models.segmentors import FixMatch


@HOOKS.register_module()
class PseudoLabelVisHook(Hook):
    """Draws image | pseudo-label | confidence | strong view | prediction.

    The views are made anew from the batch (their draws are functions of the samples)
    and both networks run in eval mode, so training does not notice.  Pseudo-labels,
    confidence and strong views are shown as the student gets them, after CutMix and
    ``semi_train_cfg.mixing``.  Pictures go to the visualizer's backends as
    ``pseudo_labels``: ``vis_data/vis_image/`` of the work directory, and TensorBoard.

    Args:
        interval: Iterations between two pictures.
        num_samples: Rows of a picture.
        tile_size: Side of a tile in pixels.
    """

    priority = 'LOW'

    def __init__(
        self, interval: int = 1000, num_samples: int = 4, tile_size: int = 192
    ) -> None:
        self.interval = interval
        self.num_samples = num_samples
        self.tile_size = tile_size

    @master_only
    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: dict[str, Any] | None = None,
    ) -> None:
        """Draw when it is time.

        Args:
            runner: The runner; its model is a :class:`s5_mm.models.FixMatch`.
            batch_idx: Not used.
            data_batch: The batch of this iteration.
            outputs: Not used.
        """
        if not self.every_n_train_iters(runner, self.interval):
            return
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        with torch.no_grad(), runner.optim_wrapper.optim_context(runner.model):
            views = self._views(model, data_batch)
        metainfo = runner.train_dataloader.dataset.metainfo
        picture = pseudo_label_panel(
            views,
            metainfo['classes'],
            metainfo['palette'],
            tile_size=self.tile_size,
        )
        runner.visualizer.add_image('pseudo_labels', picture, step=runner.iter + 1)

    def _views(self, model: FixMatch, data_batch: dict) -> list[PseudoLabelView]:
        """Run both networks on the unlabelled part of a batch."""
        preprocessor = model.data_preprocessor
        data = preprocessor(data_batch, True)
        pseudo = model.pseudo_labels(data['inputs']['unsup_weak'], data['mix'])
        strong, pseudo = model.mixed_views(data['inputs'], data['data_samples'], pseudo)
        prediction = model.predict_labels(strong)
        pictures = (strong * preprocessor.std + preprocessor.mean).round().clamp(0, 255)
        columns = (
            data_batch['inputs']['unsup'].permute(0, 2, 3, 1),
            pseudo.labels,
            pseudo.confidence.float(),
            pseudo.weight.float(),
            pictures.to(torch.uint8).permute(0, 2, 3, 1),
            prediction,
            pseudo.valid,
        )
        arrays = [column[: self.num_samples].cpu().numpy() for column in columns]
        samples = data_batch['data_samples']['unsup'][: self.num_samples]
        names = [osp.basename(sample.img_path) for sample in samples]
        return [
            PseudoLabelView._make([*map(np.ascontiguousarray, parts), name])
            for *parts, name in zip(*arrays, names, strict=True)
        ]
