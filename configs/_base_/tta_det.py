# Test-time augmentation of oriented detectors, for tools/test.py --tta: the eight
# symmetries of the square, eight times the time of a test.  Fewer views: leave entries
# of the second and third list out.  It stands in for the pipelines of all test sources.
# Another size, in a config that has this base:
#   tta_pipeline = _base_.tta_pipeline
#   tta_pipeline[1]['transforms'][0][0]['scale'] = (800, 800)
# or on the command line: --cfg-options tta_pipeline.1.transforms.0.0.scale="(800,800)".
tta_model = dict(
    type='s5_mm.OrientedTTAModel',
    # As the test_cfg of the detectors: score .05, class-wise IoU .1, 2000 boxes.
    tta_cfg=dict(
        nms=dict(type='nms_rotated', iou_threshold=0.1),
        max_per_img=2000,
        score_thr=0.05,
    ),
)
tta_pipeline = [
    dict(type='s5_mm.LoadImage'),
    dict(
        type='TestTimeAug',
        transforms=[
            [dict(type='mmdet.Resize', scale=(1024, 1024), keep_ratio=True)],
            [
                dict(type='mmdet.RandomFlip', prob=0.0),
                dict(type='mmdet.RandomFlip', prob=1.0, direction='horizontal'),
            ],
            [dict(type='s5_mm.Rotate90', k=k) for k in range(4)],
            # Behind the geometry: the ground truth stays that of the file.
            [dict(type='mmdet.LoadAnnotations', with_bbox=True, box_type='qbox')],
            [
                dict(
                    type='mmrotate.ConvertBoxType',
                    box_type_mapping=dict(gt_bboxes='rbox'),
                )
            ],
            [
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
                        'homography_matrix',  # what undoes the view
                        'dataset_name',
                        'source',
                        'sample_key',
                    ),
                )
            ],
        ],
    ),
]
