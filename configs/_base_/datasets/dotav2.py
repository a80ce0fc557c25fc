# DOTA-v2.0 as patches, cut by mmrotate's tools/data/dota/split/img_split.py or
# BboxToolkit: 1024 px, gap 200, objects of which 0.7 are inside (release).
# s5_mm.LoadImage gives RGB, so the preprocessor must not swap channels
# (bgr_to_rgb=False); boxes are read as corners and become (cx, cy, w, h, radians).
dotav2 = dict(
    model=dict(num_classes=18),
    train=dict(
        type='s5_mm.DotaTextDataset',
        data_root='data/split_ss_dota2_0',
        ann_file='trainval/annfiles',
        data_prefix=dict(img_path='trainval/images'),
        ignore_size=2,  # release: DOTASpecialIgnore
        degenerate='drop',  # release: by the same rule
        # BboxToolkit's order, that of the release's weights (mmrotate's is another), in
        # mmrotate's colours.
        metainfo=dict(
            classes=(
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
            palette=[
                [255, 128, 0],
                [147, 116, 116],
                [0, 0, 255],
                [0, 255, 0],
                [165, 42, 42],
                [255, 0, 255],
                [255, 250, 205],
                [255, 193, 193],
                [255, 0, 0],
                [138, 43, 226],
                [189, 183, 107],
                [0, 255, 255],
                [0, 139, 139],
                [0, 51, 153],
                [255, 255, 0],
                [220, 20, 60],
                [119, 11, 32],
                [0, 0, 142],
            ],
        ),
        filter_cfg=dict(filter_empty_gt=True),  # release: FliterEmpty
        pipeline=[
            dict(type='s5_mm.LoadImage'),
            dict(type='mmdet.LoadAnnotations', with_bbox=True, box_type='qbox'),
            dict(
                type='mmrotate.ConvertBoxType', box_type_mapping=dict(gt_bboxes='rbox')
            ),
            dict(type='mmdet.Resize', scale=(1024, 1024), keep_ratio=True),  # release
            # Each flip with probability 1/2, independent of the other.
            dict(
                type='mmdet.RandomFlip',
                prob=0.75,
                direction=['horizontal', 'vertical', 'diagonal'],
            ),
            dict(
                type='mmdet.PackDetInputs',
                meta_keys=(
                    'img_id',
                    'img_path',
                    'ori_shape',
                    'img_shape',
                    'scale_factor',
                    'flip',
                    'flip_direction',
                    'dataset_name',
                    'source',
                    'sample_key',
                ),
            ),
        ],
    ),
)
# The owners keep the labels of the test split: the release evaluates on their server
# alone.  mmrotate validates on the images it trained on; so does this.
dotav2['val'] = dict(
    dotav2['train'],
    test_mode=True,
    pipeline=[
        dict(type='s5_mm.LoadImage'),
        dict(type='mmdet.Resize', scale=(1024, 1024), keep_ratio=True),
        # After the resize: boxes to be judged by are those of the file.
        dict(type='mmdet.LoadAnnotations', with_bbox=True, box_type='qbox'),
        dict(type='mmrotate.ConvertBoxType', box_type_mapping=dict(gt_bboxes='rbox')),
        dotav2['train']['pipeline'][-1],
    ],
)
dotav2['test'] = dict(
    dotav2['val'],
    ann_file='',
    data_prefix=dict(img_path='test/images'),
    pipeline=[
        dict(type='s5_mm.LoadImage'),
        dict(type='mmdet.Resize', scale=(1024, 1024), keep_ratio=True),
        dotav2['train']['pipeline'][-1],
    ],
)
