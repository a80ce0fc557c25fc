# Eq. 1 on a laptop CPU, with the model of configs/s4p/vit-t_dubai_supervised.py.  Its
# five classes cover every pixel: none is a background.
_base_ = ['../_base_/models/score_upernet_vit-b.py', '../_base_/score_crops.py']
model = dict(
    segmentor=dict(
        backbone=dict(arch='t', img_size=128, patch_size=8),
        decode_head=dict(channels=64, num_classes=5),
    ),
    background=None,
    amp_dtype=None,
)
test_dataloader = dict(
    num_workers=1,
    pin_memory=False,
    dataset=dict(
        size=128,
        metainfo=dict(classes=('building', 'land', 'road', 'vegetation', 'water')),
    ),
)
