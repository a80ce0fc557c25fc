# Harbours with ships: 300 images of 256 px for training, 80 for validation.
hrsc_ships = dict(
    model=dict(
        num_classes=3,
        test_cfg=dict(mode='slide', crop_size=(128, 128), stride=(128, 128)),
    ),
    train=dict(
        type='s5_mm.SegDataset',
        data_root='data/hrsc_ships',
        data_prefix=dict(img_path='img_dir/train', seg_map_path='ann_dir/train'),
        img_suffix='.jpg',
        metainfo=dict(
            classes=('water', 'land', 'ship'),
            palette=[[30, 80, 180], [190, 170, 120], [230, 40, 40]],
        ),
    ),
    metric=dict(type='s5_mm.SegmentationMetric', per_class=True),
)
hrsc_ships['val'] = dict(
    hrsc_ships['train'],
    data_prefix=dict(img_path='img_dir/val', seg_map_path='ann_dir/val'),
)
