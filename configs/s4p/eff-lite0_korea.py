# Sentinel-2 scenes of Korea with 3 labelled of 15, by the recipe of
# eff-lite0_hrsc.py.  With the folder that holds korea_s2/:
#   python tools/train.py configs/s4p/eff-lite0_korea.py --cfg-options data_root=FOLDER
_base_ = [
    '../_base_/models/fixmatch_fpn_eff-lite0.py',
    '../_base_/datasets/korea_s2_split.py',
    '../_base_/schedules/s4_laptop.py',
]
model = dict(segmentor=dict(decode_head=dict(num_classes=5)))
