"""Parts of the RoI heads of oriented detectors."""

from s5_mm.utils.ops import require_ops

require_ops()

from .enlarged_roi_extractor import EnlargedRoIExtractor  # noqa: E402
from .shared_2fc_bbox_head import Shared2FCBBoxHead  # noqa: E402

__all__ = ['EnlargedRoIExtractor', 'Shared2FCBBoxHead']
