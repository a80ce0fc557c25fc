# DIOR-R: 11,725 images of 800 px for training, 11,738 for testing, which the release
# also validates on.
# s5_mm.LoadImage gives RGB, so the preprocessor must not swap channels
# (bgr_to_rgb=False); boxes are read as corners and become (cx, cy, w, h, radians).
diorr = dict(
    model=dict(num_classes=20),
    train=dict(
        type='s5_mm.VocXmlDataset',
        data_root='data/DIOR',
        ann_file='ImageSets/Main/trainval.txt',
        ann_subdir='Annotations/Oriented Bounding Boxes',
        data_prefix=dict(img_path='JPEGImages-trainval'),
        min_side=1,  # release
        degenerate='keep',  # min_side gives them an area
        # mmrotate's order and colours, the release's order too.
        metainfo=dict(
            classes=(
                'airplane',
                'airport',
                'baseballfield',
                'basketballcourt',
                'bridge',
                'chimney',
                'expressway-service-area',
                'expressway-toll-station',
                'dam',
                'golffield',
                'groundtrackfield',
                'harbor',
                'overpass',
                'ship',
                'stadium',
                'storagetank',
                'tenniscourt',
                'trainstation',
                'vehicle',
                'windmill',
            ),
            palette=[
                [220, 20, 60],
                [119, 11, 32],
                [0, 0, 142],
                [0, 0, 230],
                [106, 0, 228],
                [0, 60, 100],
                [0, 80, 100],
                [0, 0, 70],
                [0, 0, 192],
                [250, 170, 30],
                [100, 170, 30],
                [220, 220, 0],
                [175, 116, 175],
                [250, 0, 30],
                [165, 42, 42],
                [255, 77, 255],
                [0, 226, 252],
                [182, 182, 255],
                [0, 82, 0],
                [120, 166, 157],
            ],
        ),
        filter_cfg=dict(filter_empty_gt=True),
        pipeline=[
            dict(type='s5_mm.LoadImage'),
            dict(type='mmdet.LoadAnnotations', with_bbox=True, box_type='qbox'),
            dict(
                type='mmrotate.ConvertBoxType', box_type_mapping=dict(gt_bboxes='rbox')
            ),
            # 800 -> 1024 px, release; mmrotate keeps 800.
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
diorr['val'] = dict(
    diorr['train'],
    ann_file='ImageSets/Main/test.txt',
    data_prefix=dict(img_path='JPEGImages-test'),
    test_mode=True,
    pipeline=[
        dict(type='s5_mm.LoadImage'),
        dict(type='mmdet.Resize', scale=(1024, 1024), keep_ratio=True),
        # After the resize: boxes to be judged by are those of the file.
        dict(type='mmdet.LoadAnnotations', with_bbox=True, box_type='qbox'),
        dict(type='mmrotate.ConvertBoxType', box_type_mapping=dict(gt_bboxes='rbox')),
        diorr['train']['pipeline'][-1],
    ],
)
diorr['test'] = diorr['val']
