"""Parts of the RoI heads of oriented detectors."""

from .enlarged_roi_extractor import EnlargedRoIExtractor
from .shared_2fc_bbox_head import Shared2FCBBoxHead

__all__ = ['EnlargedRoIExtractor', 'Shared2FCBBoxHead']
