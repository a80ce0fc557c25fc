# fixmatch_upernet_vit-b.py for a laptop CPU: 6 layers of width 192 with patches of 8 px
# and a narrow decoder, as configs/s4p/vit-t_dubai.py.
_base_ = ['./fixmatch_upernet_vit-b.py']
model = dict(
    segmentor=dict(
        backbone=dict(arch='t', img_size=128, patch_size=8),
        decode_head=dict(channels=64),
    )
)
