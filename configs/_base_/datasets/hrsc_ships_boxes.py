# Harbours with oriented boxes of ships: 300 images of 256 px for training (one of them
# empty, 1,338 boxes), 80 for validation (452 boxes).
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
    ),
    metric=dict(type='s5_mm.OrientedMetric'),
)
hrsc_ships_boxes['val'] = dict(
    hrsc_ships_boxes['train'],
    ann_file='annfiles/val',
    data_prefix=dict(img_path='img_dir/val'),
    test_mode=True,
)
