# Satellite tiles of Dubai with 6 labelled images of 49, by the recipe of
# eff-lite0_hrsc.py.  With the folder that holds dubai/:
#   python tools/train.py configs/s4p/eff-lite0_dubai.py --cfg-options data_root=FOLDER
_base_ = [
    '../_base_/models/fixmatch_fpn_eff-lite0.py',
    '../_base_/datasets/dubai_split.py',
    '../_base_/schedules/s4_laptop.py',
]
model = dict(segmentor=dict(decode_head=dict(num_classes=5)))
