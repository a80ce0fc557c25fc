# S4 pre-training (S4P) of ViT-B + UPerNet on iSAID and RS4P-1M, 8 GPUs:
#   bash tools/dist_train.sh configs/s4p/vit-b_rs4p1m.py 8
_base_ = [
    '../_base_/models/fixmatch_upernet_vit-b.py',
    '../_base_/datasets/isaid_rs4p1m.py',
    '../_base_/schedules/s4p_120k.py',
    '../_base_/default_runtime_seg.py',
]
# The paper starts from MAE on MillionAID.
pretrained = 'pretrained/vit-b-checkpoint-1599.pth'
model = dict(
    segmentor=dict(
        backbone=dict(init_cfg=dict(type='Pretrained', checkpoint=pretrained))
    )
)
default_hooks = dict(
    # iSAID is judged without background (release, classes 1-15).
    checkpoint=dict(save_best='mIoU_fg'),
)
custom_hooks = [
    dict(type='s5_mm.PseudoLabelStatsHook', interval=50),
    dict(type='s5_mm.PseudoLabelVisHook', interval=2000),
]
