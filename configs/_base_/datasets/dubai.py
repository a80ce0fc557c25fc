# Dubai satellite tiles 1-6 for training, 7 for validation.
dubai = dict(
    model=dict(
        num_classes=5,
        test_cfg=dict(mode='slide', crop_size=(128, 128), stride=(128, 128)),
    ),
    train=dict(
        type='s5_mm.SegDataset',
        data_root='data/dubai',
        data_prefix=dict(img_path='img_dir/train', seg_map_path='ann_dir/train'),
        img_suffix='.jpg',
        metainfo=dict(
            classes=('building', 'land', 'road', 'vegetation', 'water'),
            palette=[
                [60, 16, 152],
                [132, 41, 246],
                [110, 193, 228],
                [254, 221, 58],
                [226, 169, 41],
            ],
        ),
    ),
    metric=dict(type='s5_mm.SegmentationMetric', per_class=True),
)
dubai['val'] = dict(
    dubai['train'],
    data_prefix=dict(img_path='img_dir/val', seg_map_path='ann_dir/val'),
)
