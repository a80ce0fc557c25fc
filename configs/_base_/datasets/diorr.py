# DIOR-R: 11,725 images of 800 px for training, 11,738 for testing, which the release
# also validates on.
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
    ),
    metric=dict(type='s5_mm.OrientedMetric'),
)
diorr['val'] = dict(
    diorr['train'],
    ann_file='ImageSets/Main/test.txt',
    data_prefix=dict(img_path='JPEGImages-test'),
    test_mode=True,
)
