"""The oriented RPN, with its targets and proposals made on the device."""

from __future__ import annotations

from typing import Any

import torch
from mmcv.ops import batched_nms
from mmdet.models.task_modules.prior_generators import anchor_inside_flags
from mmdet.structures.bbox import BaseBoxes, get_box_tensor, get_box_wh
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from mmrotate.models.dense_heads import OrientedRPNHead as HostHead
from mmrotate.structures.bbox import rbox2hbox
from torch import Tensor

from s5_mm.registry import MODELS


@MODELS.register_module()
class DeviceOrientedRPNHead(HostHead):
    """mmrotate's oriented RPN that asks the device for numbers of boxes alone.

    Parameters, targets, losses and proposals are the host's.  The host asks whether
    any anchor lies inside the image, selects by masks (six further waits an image),
    asks whether all proposals are large enough, and indexes the kept ones through
    NumPy: ``InstanceData`` cuts boxes into up to 2000 slices and joins them again.
    Here each of these is one index.  What is left are sizes that hang on the data:
    of the anchors inside, the sample, the proposals that are large enough and those
    that NMS keeps.

    Arguments as for mmrotate's ``OrientedRPNHead``.
    """

    def _get_targets_single(
        self,
        flat_anchors: Tensor | BaseBoxes,
        valid_flags: Tensor,
        gt_instances: InstanceData,
        img_meta: dict[str, Any],
        gt_instances_ignore: InstanceData | None = None,
        unmap_outputs: bool = True,
    ) -> tuple:
        """Compute the targets of one image.

        Args:
            flat_anchors: Anchors of all levels, (n, 4).
            valid_flags: Which of them lie on the padded image, (n,), bool.
            gt_instances: Ground truth with ``bboxes`` and ``labels``.
            img_meta: Metainfo with ``img_shape``.
            gt_instances_ignore: Boxes to be ignored.
            unmap_outputs: Give targets for all anchors, not only for those inside.

        Returns:
            labels (n,), label_weights (n,), bbox_targets (n, 6), bbox_weights (n, 6),
            positions of the positive and of the negative anchors among those inside,
            and the host's sampling result.

        Raises:
            ValueError: No anchor lies inside the image.
        """
        if self.reg_decoded_bbox:
            return super()._get_targets_single(
                flat_anchors,
                valid_flags,
                gt_instances,
                img_meta,
                gt_instances_ignore,
                unmap_outputs,
            )
        border = self.train_cfg['allowed_border']
        flags = anchor_inside_flags(
            flat_anchors, valid_flags, img_meta['img_shape'][:2], border
        )
        inside = torch.nonzero(flags).squeeze(1)
        if not len(inside):
            raise ValueError(
                f'no anchor lies inside an image of {img_meta["img_shape"][:2]} with '
                f'train_cfg.rpn.allowed_border={border}; expected are smaller anchors, '
                'larger images or allowed_border=-1'
            )
        priors = InstanceData(priors=flat_anchors[inside])
        assigned = self.assigner.assign(priors, gt_instances, gt_instances_ignore)
        sampled = self.sampler.sample(assigned, priors, gt_instances)
        positive, negative = sampled.pos_inds, sampled.neg_inds
        count = len(inside)
        if unmap_outputs:
            count = len(flat_anchors)
            positive, negative = inside[positive], inside[negative]

        labels = inside.new_full((count,), self.num_classes)
        targets = flat_anchors.new_zeros(count, self.bbox_coder.encode_size)
        label_weights = flat_anchors.new_zeros(count, dtype=torch.float)
        weights = torch.zeros_like(targets)
        if len(positive):
            targets[positive] = self.bbox_coder.encode(
                sampled.pos_priors, sampled.pos_gt_bboxes
            ).to(targets)
            weights[positive] = 1.0
            labels[positive] = sampled.pos_gt_labels
            own = self.train_cfg['pos_weight']
            label_weights[positive] = own if own > 0 else 1.0
        label_weights[negative] = 1.0
        return (
            labels,
            label_weights,
            targets,
            weights,
            sampled.pos_inds,
            sampled.neg_inds,
            sampled,
        )

    def _bbox_post_process(
        self,
        results: InstanceData,
        cfg: ConfigDict,
        rescale: bool = False,
        with_nms: bool = True,
        img_meta: dict[str, Any] | None = None,
    ) -> InstanceData:
        """Choose the proposals of one image, by NMS of their horizontal boxes.

        Args:
            results: Decoded ``bboxes`` (n, 5), ``scores`` (n,), ``level_ids`` (n,).
            cfg: ``nms``, ``max_per_img``, ``min_bbox_size`` in pixels.
            rescale: Give boxes in pixels of the original image.
            with_nms: Must be True.
            img_meta: Metainfo, for ``rescale``.

        Returns:
            ``bboxes`` (m, 5), ``scores`` (m,), ``labels`` (m,), all 0.
        """
        if rescale or not with_nms:
            return super()._bbox_post_process(results, cfg, rescale, with_nms, img_meta)
        bboxes, scores, levels = results.bboxes, results.scores, results.level_ids
        smallest = cfg.get('min_bbox_size', -1)
        if smallest >= 0:
            widths, heights = get_box_wh(bboxes)
            large = torch.nonzero((widths > smallest) & (heights > smallest)).squeeze(1)
            bboxes, scores, levels = bboxes[large], scores[large], levels[large]
        if len(scores):
            horizontal = rbox2hbox(get_box_tensor(bboxes))
            kept, index = batched_nms(horizontal, scores, levels, cfg.nms)
            bboxes = bboxes[index[: cfg.max_per_img]]
            # Some kinds of NMS change the scores.
            scores = kept[: cfg.max_per_img, -1]
        labels = scores.new_zeros(len(scores), dtype=torch.long)
        return InstanceData(bboxes=bboxes, scores=scores, labels=labels)
