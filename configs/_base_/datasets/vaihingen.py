# ISPRS Vaihingen: 16 areas for training (release: 1,324 tiles of 512 px), 17 for
# validation (398).
# mmseg's conversion stores 0 for boundaries and the classes as 1-6; the sixth, clutter,
# counts nowhere (release: 5 classes).
vaihingen = dict(
    model=dict(
        num_classes=5,
        # Release: whole tiles, averaged with their mirror image.
        test_cfg=dict(mode='whole', flip=['horizontal']),
    ),
    train=dict(
        type='s5_mm.SegDataset',
        data_root='data/vaihingen',
        data_prefix=dict(img_path='img_dir/train', seg_map_path='ann_dir/train'),
        reduce_zero_label=True,
        ignore_index=5,
        metainfo=dict(
            classes=(
                'impervious_surface',
                'building',
                'low_vegetation',
                'tree',
                'car',
            ),
            palette=[
                [255, 255, 255],
                [0, 0, 255],
                [0, 255, 255],
                [0, 255, 0],
                [255, 255, 0],
            ],
        ),
    ),
    metric=dict(type='s5_mm.SegmentationMetric', per_class=True),
)
vaihingen['val'] = dict(
    vaihingen['train'],
    data_prefix=dict(img_path='img_dir/val', seg_map_path='ann_dir/val'),
)
