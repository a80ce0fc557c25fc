# ViT-B + UPerNet as a judge of crops (Eq. 1).
_base_ = ['./upernet_vit-b.py']

segmentor = _base_.model
segmentor.data_preprocessor = None

model = dict(
    _delete_=True,
    type='s5_mm.PatchScorer',
    segmentor=segmentor,
    background=0,
    mode='drop',  # the paper: "excluding background"
    amp_dtype='bfloat16',
    data_preprocessor=dict(
        type='ImgDataPreprocessor',
        # ImageNet's, RGB, as in training.
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
    ),
)
