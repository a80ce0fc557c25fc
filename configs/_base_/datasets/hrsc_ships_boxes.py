# Harbours with oriented boxes of ships: 300 images of 256 px for training (one of them
# empty, 1,338 boxes), 80 for validation (452 boxes).
# s5_mm.LoadImage gives RGB, so the preprocessor must not swap channels
# (bgr_to_rgb=False); boxes are read as corners and become (cx, cy, w, h, radians).
hrsc_ships_boxes = dict(
    model=dict(num_classes=1),
    train=dict(
        type='s5_mm.DotaTextDataset',
        data_root='data/hrsc_ships',
        ann_file='annfiles/train',
        data_prefix=dict(img_path='img_dir/train'),
        degenerate='drop',  # 40 of 1,830 boxes, drawn from masks, are lines
        metainfo=dict(classes=('ship',), palette=[[230, 40, 40]]),
        filter_cfg=dict(filter_empty_gt=True),
        pipeline=[
            dict(type='s5_mm.LoadImage'),
            dict(type='mmdet.LoadAnnotations', with_bbox=True, box_type='qbox'),
            dict(
                type='mmrotate.ConvertBoxType', box_type_mapping=dict(gt_bboxes='rbox')
            ),
            dict(type='mmdet.Resize', scale=(256, 256), keep_ratio=True),
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
hrsc_ships_boxes['val'] = dict(
    hrsc_ships_boxes['train'],
    ann_file='annfiles/val',
    data_prefix=dict(img_path='img_dir/val'),
    test_mode=True,
    pipeline=[
        dict(type='s5_mm.LoadImage'),
        dict(type='mmdet.Resize', scale=(256, 256), keep_ratio=True),
        # After the resize: boxes to be judged by are those of the file.
        dict(type='mmdet.LoadAnnotations', with_bbox=True, box_type='qbox'),
        dict(type='mmrotate.ConvertBoxType', box_type_mapping=dict(gt_bboxes='rbox')),
        hrsc_ships_boxes['train']['pipeline'][-1],
    ],
)
hrsc_ships_boxes['test'] = hrsc_ships_boxes['val']
