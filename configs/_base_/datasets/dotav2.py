# DOTA-v2.0 as patches of tools/dataset_converters/dota_split.py: 1024 px, gap 200,
# objects of which 0.7 are inside (release).
dotav2 = dict(
    model=dict(num_classes=18),
    train=dict(
        type='s5_mm.DotaTextDataset',
        data_root='data/dotav2_1024_200',
        ann_file='trainval/annfiles',
        data_prefix=dict(img_path='trainval/images'),
        ignore_size=2,  # release: DOTASpecialIgnore
        degenerate='drop',  # release: by the same rule
        # mmrotate's order and colours.
        metainfo=dict(
            classes=(
                'plane',
                'baseball-diamond',
                'bridge',
                'ground-track-field',
                'small-vehicle',
                'large-vehicle',
                'ship',
                'tennis-court',
                'basketball-court',
                'storage-tank',
                'soccer-ball-field',
                'roundabout',
                'harbor',
                'swimming-pool',
                'helicopter',
                'container-crane',
                'airport',
                'helipad',
            ),
            palette=[
                [165, 42, 42],
                [189, 183, 107],
                [0, 255, 0],
                [255, 0, 0],
                [138, 43, 226],
                [255, 128, 0],
                [255, 0, 255],
                [0, 255, 255],
                [255, 193, 193],
                [0, 51, 153],
                [255, 250, 205],
                [0, 139, 139],
                [255, 255, 0],
                [147, 116, 116],
                [0, 0, 255],
                [220, 20, 60],
                [119, 11, 32],
                [0, 0, 142],
            ],
        ),
        filter_cfg=dict(filter_empty_gt=True),  # release: FliterEmpty
    ),
    metric=dict(type='s5_mm.OrientedMetric'),
    # Labels of the test split are not published: the archive for the owners' server,
    # of patches merged as in the release.
    test_metric=dict(
        type='s5_mm.OrientedMetric',
        format_only=True,
        merge=dict(iou_thr=0.5),
        output_dir='work_dirs/dotav2_task1',
    ),
    # The order of BboxToolkit, in which the release's weights have their classes.
    bbox_toolkit_classes=(
        'large-vehicle',
        'swimming-pool',
        'helicopter',
        'bridge',
        'plane',
        'ship',
        'soccer-ball-field',
        'basketball-court',
        'ground-track-field',
        'small-vehicle',
        'baseball-diamond',
        'tennis-court',
        'roundabout',
        'storage-tank',
        'harbor',
        'container-crane',
        'airport',
        'helipad',
    ),
)
# A part of what was trained on: it shows that training works, not how good it is.
dotav2['val'] = dict(
    dotav2['train'],
    ann_file='val/annfiles',
    data_prefix=dict(img_path='val/images'),
    test_mode=True,
)
dotav2['test'] = dict(
    dotav2['val'], ann_file='', data_prefix=dict(img_path='test/images')
)
