"""Assignment of boxes to priors that waits for no device."""

from __future__ import annotations

import torch
from mmdet.models.task_modules.assigners import AssignResult
from mmdet.models.task_modules.assigners import MaxIoUAssigner as HostAssigner
from torch import Tensor

from s5_mm.registry import TASK_UTILS


@TASK_UTILS.register_module()
class MaxIoUAssigner(HostAssigner):
    """mmdet's assigner without its loop over the ground truth.

    The host asks for every box of every image whether its best overlap is enough
    (``if gt_max_overlaps[i] >= self.min_pos_iou``), and a GPU is waited for each time.
    Here all boxes are matched at once, with the host's result: where several boxes
    claim a prior, the last one has it.

    Images of more than ``gpu_assign_thr`` boxes are assigned on the CPU, as by the
    host, which copies priors, boxes and labels there (three waits an image); -1 keeps
    them on the device.

    Arguments as for ``mmdet.MaxIoUAssigner``.
    """

    def assign_wrt_overlaps(self, overlaps: Tensor, gt_labels: Tensor) -> AssignResult:
        """Assign by the overlaps.

        Args:
            overlaps: Of k boxes with n priors, (k, n).
            gt_labels: Labels of the boxes, (k,), long.

        Returns:
            For each prior the 1-based number of its box, 0 for background or -1 for
            neither; its largest overlap; and the label of its box or -1.
        """
        if 0 in overlaps.shape:
            return super().assign_wrt_overlaps(overlaps, gt_labels)
        count = len(overlaps)
        max_overlaps, nearest = overlaps.max(dim=0)
        assigned = torch.where(
            max_overlaps >= self.pos_iou_thr,
            nearest + 1,
            torch.where(self._negative(max_overlaps), 0, -1),
        )
        if self.match_low_quality:
            claimed = self._low_quality(overlaps)
            assigned = torch.where(claimed > 0, claimed, assigned)
        labels = torch.where(assigned > 0, gt_labels[(assigned - 1).clamp(min=0)], -1)
        return AssignResult(
            num_gts=count, gt_inds=assigned, max_overlaps=max_overlaps, labels=labels
        )

    def _negative(self, max_overlaps: Tensor) -> Tensor:
        """Priors (n,) that are background by their largest overlap, bool."""
        if isinstance(self.neg_iou_thr, (tuple, list)):
            low, high = self.neg_iou_thr
        else:
            low, high = 0.0, self.neg_iou_thr
        return (max_overlaps >= low) & (max_overlaps < high)

    def _low_quality(self, overlaps: Tensor) -> Tensor:
        """The last box (1-based) of which a prior (n,) is a best one, 0 for none."""
        best, where = overlaps.max(dim=1)
        enough = best >= self.min_pos_iou
        number = torch.arange(1, len(overlaps) + 1, device=overlaps.device)
        if self.gt_max_assign_all:
            claims = (overlaps == best[:, None]) & enough[:, None]
            # int32 takes half of the memory of a long for k x n numbers.
            return (claims * number[:, None].int()).amax(dim=0).long()
        claimed = number.new_zeros(overlaps.shape[1])
        return claimed.scatter_reduce(0, where, number * enough, 'amax')
