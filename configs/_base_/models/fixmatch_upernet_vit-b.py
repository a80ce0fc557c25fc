# FixMatch (Eq. 4-7) around ViT-B + UPerNet.  Values of the S5 release are marked.
_base_ = ['./upernet_vit-b.py']

segmentor = _base_.model
segmentor.data_preprocessor = None

model = dict(
    _delete_=True,
    type='s5_mm.FixMatch',
    segmentor=segmentor,
    data_preprocessor=dict(
        type='s5_mm.MultiBranchDataPreprocessor',
        # ImageNet's, RGB, as MAE and the release.
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        strong=dict(
            type='s5_mm.StrongAugment',
            brightness=0.5,  # release, as are the rest
            contrast=0.5,
            saturation=0.5,
            hue=0.25,
            jitter_prob=0.8,
            gray_prob=0.2,
            blur_prob=0.5,
            blur_sigma=(0.1, 2.0),
        ),
        cutmix=dict(
            type='s5_mm.CutMix', prob=0.5, area=(0.02, 0.4), ratio=(0.3, 1 / 0.3)
        ),
        size_divisor=None,
        test_cfg=dict(size_divisor=16),
    ),
    semi_train_cfg=dict(
        conf_thresh=0.95,  # tau of Eq. 7, release
        unsup_weight=1.0,  # lambda of Eq. 5, release
        normalization='valid',  # release: pixels that are no padding
        average_losses=False,  # Eq. 5; the release halves the sum
    ),
)
