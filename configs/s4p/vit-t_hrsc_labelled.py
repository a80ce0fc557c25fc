# Water, land and ships of 300 harbours, from masks: a start for the detectors of
# configs/finetune_det/*_vit-t_* that knows ships, as S4P on iSAID gives it in full.
# With the folder that holds hrsc_ships/:
#   python tools/train.py configs/s4p/vit-t_hrsc_labelled.py \
#     --cfg-options data_root=FOLDER
_base_ = ['./vit-t_dubai_supervised.py', '../_base_/datasets/hrsc_ships.py']
max_iters = 2000
ships = _base_.hrsc_ships
model = dict(
    segmentor=dict(decode_head=dict(num_classes=ships['model']['num_classes']))
)
train_dataloader = dict(
    dataset=dict(
        sources=dict(
            sup=dict(
                data_root=ships['train']['data_root'],
                data_prefix=ships['train']['data_prefix'],
                metainfo=dict(_delete_=True, **ships['train']['metainfo']),
            )
        )
    )
)
val_dataloader = dict(
    dataset=dict(
        data_root=ships['val']['data_root'],
        data_prefix=ships['val']['data_prefix'],
        metainfo=dict(_delete_=True, **ships['val']['metainfo']),
    )
)
test_dataloader = val_dataloader
warmup, cosine = _base_.param_scheduler
cosine.update(T_max=max_iters - cosine.begin, end=max_iters)
param_scheduler = [warmup, cosine]
train_cfg = dict(max_iters=max_iters, val_interval=500)
default_hooks = dict(checkpoint=dict(interval=500))
