"""The models of s5_mm: what both tasks share at once, the rest when asked for."""

from s5_mm.utils.lazy import lazy_exports

from .backbones import *  # noqa: F403
from .layers import *  # noqa: F403
from .necks import *  # noqa: F403

__getattr__, __dir__, LATE = lazy_exports(
    __name__,
    {
        # Segmentation, on mmseg.
        'backbones.swin': ['SwinTransformer'],
        'data_preprocessors': [
            'CutMix',
            'MultiBranchDataPreprocessor',
            'MultiDatasetDataPreprocessor',
            'StrongAugment',
        ],
        'decode_heads': ['UPerHead'],
        'losses': ['PixelCrossEntropy'],
        'mixing': ['ClassMix', 'LabelledCopyPaste'],
        'pseudo_labels': [
            'AdaMatchThreshold',
            'DistributionAlignment',
            'EntropyPercentile',
            'FixedThreshold',
            'FlexMatchThreshold',
            'FreeMatchThreshold',
            'NoThreshold',
            'RankWeight',
            'SoftMatchWeight',
            'TopShare',
        ],
        'segmentors': [
            'EncoderDecoder',
            'FixMatch',
            'MultiDatasetSegmentor',
            'SemiBaseSegmentor',
        ],
        # Oriented detection, on mmdet and mmrotate.
        'dense_heads': ['DeviceOrientedRPNHead', 'OrientedRPNHead'],
        'detectors': ['MultiDatasetDetector', 'OrientedRCNN', 'SharedFeatures'],
        'roi_heads': ['EnlargedRoIExtractor', 'Shared2FCBBoxHead'],
        'box_losses': ['SmoothL1Loss'],
        'task_modules': ['MaxIoUAssigner', 'MidpointOffsetCoder'],
        'test_time_augs': ['OrientedTTAModel'],
    },
)
