# Sentinel-2 over Korea, 10 m, GeoTIFF: 15 images of 512 px for training, 5 for
# validation.
korea_s2 = dict(
    model=dict(
        num_classes=5,
        test_cfg=dict(mode='slide', crop_size=(128, 128), stride=(128, 128)),
    ),
    train=dict(
        type='s5_mm.SegDataset',
        data_root='data/korea_s2',
        data_prefix=dict(img_path='img_dir/train', seg_map_path='ann_dir/train'),
        img_suffix='.tif',
        seg_map_suffix='.tif',
        metainfo=dict(
            classes=('building', 'road', 'field', 'forest', 'background'),
            palette=[
                [220, 20, 60],
                [120, 120, 120],
                [240, 220, 100],
                [20, 110, 50],
                [225, 225, 225],
            ],
        ),
    ),
    metric=dict(type='s5_mm.SegmentationMetric', per_class=True),
)
korea_s2['val'] = dict(
    korea_s2['train'],
    data_prefix=dict(img_path='img_dir/val', seg_map_path='ann_dir/val'),
)
