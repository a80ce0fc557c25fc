# Eight images of 1024 px of DOTA-v1.0, four for training and four for validation.
# s5_mm.LoadImage gives RGB, so the preprocessor must not swap channels
# (bgr_to_rgb=False); boxes are read as corners and become (cx, cy, w, h, radians).
dota8 = dict(
    model=dict(num_classes=15),
    train=dict(
        type='s5_mm.DotaTextDataset',
        data_root='data/dota8',
        ann_file='train/annfiles',
        data_prefix=dict(img_path='train/images'),
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
            ],
        ),
        filter_cfg=dict(filter_empty_gt=True),
        pipeline=[
            dict(type='s5_mm.LoadImage'),
            dict(type='mmdet.LoadAnnotations', with_bbox=True, box_type='qbox'),
            dict(
                type='mmrotate.ConvertBoxType', box_type_mapping=dict(gt_bboxes='rbox')
            ),
            dict(type='mmdet.Resize', scale=(1024, 1024), keep_ratio=True),
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
dota8['val'] = dict(
    dota8['train'],
    ann_file='val/annfiles',
    data_prefix=dict(img_path='val/images'),
    test_mode=True,
    pipeline=[
        dict(type='s5_mm.LoadImage'),
        dict(type='mmdet.Resize', scale=(1024, 1024), keep_ratio=True),
        # After the resize: boxes to be judged by are those of the file.
        dict(type='mmdet.LoadAnnotations', with_bbox=True, box_type='qbox'),
        dict(type='mmrotate.ConvertBoxType', box_type_mapping=dict(gt_bboxes='rbox')),
        dota8['train']['pipeline'][-1],
    ],
)
dota8['test'] = dota8['val']
