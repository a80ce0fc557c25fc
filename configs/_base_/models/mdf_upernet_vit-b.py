# Plain ViT-B, shared, and for each data set a UPerHead of 256 channels (MDF).  The data
# sets bring their numbers of classes.
_base_ = ['./upernet_vit-b.py']
head = _base_.model.decode_head
head.pop('num_classes')
head.loss_decode = dict(type='s5_mm.PixelCrossEntropy')
model = dict(
    _delete_=True,
    type='s5_mm.MultiDatasetSegmentor',
    data_preprocessor=dict(
        type='s5_mm.MultiDatasetDataPreprocessor',
        # ImageNet's, RGB, as MAE and the release.
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        # The release augments its fine-tuning images as the strong view of S4P.
        augment=dict(
            type='s5_mm.StrongAugment',
            brightness=0.5,
            contrast=0.5,
            saturation=0.5,
            hue=0.25,
            jitter_prob=0.8,
            gray_prob=0.2,
            blur_prob=0.5,
            blur_sigma=(0.1, 2.0),
        ),
    ),
    backbone=_base_.model.backbone,
    decode_head=head,
    datasets=dict(),
)
