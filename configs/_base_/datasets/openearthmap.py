# OpenEarthMap without xBD: 2,303 images of 75 regions for training, 384 for validation.
# Class 0, unknown, is trained and judged (release).
openearthmap = dict(
    model=dict(
        num_classes=9,
        # Release: images of 1024 px are shown as 512.
        test_cfg=dict(mode='whole', resize=(512, 512)),
    ),
    train=dict(
        type='s5_mm.OpenEarthMapDataset',
        data_root='data/OpenEarthMap_wo_xBD',
        ann_file='train_wo_xBD.txt',
    ),
    metric=dict(type='s5_mm.SegmentationMetric', per_class=True),
)
openearthmap['val'] = dict(openearthmap['train'], ann_file='val_wo_xBD.txt')
