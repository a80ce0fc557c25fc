# Eq. 1 with the initial model of the demo; none of its classes is a background.
_base_ = ['../_base_/models/score_upernet_vit-b.py', '../_base_/score_crops.py']
model = dict(
    segmentor=dict(
        backbone=dict(
            arch=dict(_delete_=True, embed_dims=128, num_layers=4, num_heads=2),
            img_size=96,
            patch_size=8,
            drop_path_rate=0.0,
        ),
        decode_head=dict(channels=32, num_classes=6),
    ),
    background=None,
    amp_dtype=None,
)
test_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    pin_memory=False,
    dataset=dict(
        size=96,
        metainfo=dict(
            classes=('field', 'road', 'building', 'water', 'tree', 'vehicle')
        ),
    ),
)
