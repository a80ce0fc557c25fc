"""Parts of the RoI heads of oriented detectors."""

from s5_mm.utils.ops import require_ops

require_ops()

from .enlarged_roi_extractor import EnlargedRoIExtractor  # noqa: E402

__all__ = ['EnlargedRoIExtractor']
