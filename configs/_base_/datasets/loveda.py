# LoveDA: 2,522 images of 1024 px for training, 1,669 for validation.  Stored 0 is
# no-data, 1-7 are the classes.  The paper's Table 1 is on the test split, whose labels
# only the server has (finetune_seg/*_loveda-test.py); its ablations are on validation.
loveda = dict(
    model=dict(
        num_classes=7,
        # Release: windows of 512 px every 256 px, probabilities added up.
        test_cfg=dict(
            mode='slide',
            crop_size=(512, 512),
            stride=(256, 256),
            average='probabilities',
        ),
    ),
    train=dict(
        type='s5_mm.SegDataset',
        data_root='data/loveDA',
        data_prefix=dict(img_path='img_dir/train', seg_map_path='ann_dir/train'),
        reduce_zero_label=True,
        metainfo=dict(
            classes=(
                'background',
                'building',
                'road',
                'water',
                'barren',
                'forest',
                'agricultural',
            ),
            palette=[
                [255, 255, 255],
                [255, 0, 0],
                [255, 255, 0],
                [0, 0, 255],
                [159, 129, 183],
                [0, 255, 0],
                [255, 195, 128],
            ],
        ),
    ),
    metric=dict(type='s5_mm.SegmentationMetric', per_class=True),
)
loveda['val'] = dict(
    loveda['train'],
    data_prefix=dict(img_path='img_dir/val', seg_map_path='ann_dir/val'),
)
