"""Score crops with a trained segmentor: entropy, class areas, nearest prototype.

The registered classes are imported when they are asked for: the scorer takes mmseg, the
stream of crops and the hook take Parquet.
"""

from s5_mm.utils.lazy import lazy_exports

__getattr__, __dir__, LATE = lazy_exports(
    __name__,
    {
        'crop_stream': ['CropStream'],
        'patch_scorer': ['PatchScorer'],
        'patch_scoring_hook': ['PatchScoringHook'],
    },
)
