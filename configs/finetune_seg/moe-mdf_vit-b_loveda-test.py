# LoveDA's test split, whose labels only its server has (Table 1): trains on train and
# val (release: 4,191 images) and writes the predictions as the server takes them, ids
# 0-6 in one flat archive:
#   python tools/test.py configs/finetune_seg/moe-mdf_vit-b_loveda-test.py CHECKPOINT
_base_ = ['./moe-mdf_vit-b.py']
loveda = _base_.loveda
train_dataloader = dict(
    dataset=dict(
        sources=dict(
            loveda=dict(
                _delete_=True,
                type='ConcatDataset',
                datasets=[loveda.train, loveda.val],
            )
        )
    )
)
# Validation images are trained on: the best checkpoint is chosen by the others.
others = dict(
    vaihingen=_base_.vaihingen,
    potsdam=_base_.potsdam,
    openearthmap=_base_.openearthmap,
)
val_dataloader = dict(
    dataset=dict(
        sources=dict(_delete_=True, **{k: own['val'] for k, own in others.items()})
    )
)
val_evaluator = dict(
    metrics=dict(_delete_=True, **{k: own['metric'] for k, own in others.items()})
)
test_dataloader = dict(
    dataset=dict(
        sources=dict(
            _delete_=True,
            loveda=dict(
                loveda.train,
                data_prefix=dict(img_path='img_dir/test', seg_map_path=None),
                pipeline=[
                    dict(type='s5_mm.LoadImage'),
                    dict(type='s5_mm.PackSample'),
                ],
            ),
        )
    )
)
test_evaluator = dict(
    metrics=dict(
        _delete_=True,
        loveda=dict(
            type='s5_mm.SegmentationMetric',
            format_only=True,
            output_dir='work_dirs/loveda_test',
            archive='loveda.zip',
        ),
    ),
    headline=dict(_delete_=True),
)
