"""Operators of mmcv written in torch, where mmcv is installed without compiled ones.

Oriented R-CNN calls ``nms``, ``nms_rotated``, ``box_iou_rotated`` and
``RoIAlignRotated`` of mmcv, whose 78 C++ and CUDA sources take 28 to 63 minutes of CPU
to compile.  Where they are not compiled, :class:`StandInFinder` makes those of this
package stand in.
"""

from .stand_in import OpsMissingError, StandInFinder, is_compiled, provide_ops

__all__ = ['OpsMissingError', 'StandInFinder', 'is_compiled', 'provide_ops']
