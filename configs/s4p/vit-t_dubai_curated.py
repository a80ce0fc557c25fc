# Continues the supervised model of vit-t_dubai_supervised.py, which has scored the
# images, with FixMatch on what curation has chosen (the paper's Table 2 in small).
# With the folder that holds dubai/ and a run of configs/curation/oam_dubai.py:
#   python tools/train.py configs/s4p/vit-t_dubai_curated.py --cfg-options \
#     data_root=FOLDER load_from=CHECKPOINT \
#     train_dataloader.dataset.sources.unsup.shards=DIR/shards
_base_ = ['./vit-t_dubai.py']
max_iters = 150
model = dict(
    semi_train_cfg=dict(burn_in=0, conf_thresh=0.9)  # alive on these images at 0.9
)
optim_wrapper = dict(optimizer=dict(lr=5e-4))  # half of the initial training's
warmup, cosine = _base_.param_scheduler
cosine.update(T_max=max_iters - cosine.begin, end=max_iters)
param_scheduler = [warmup, cosine]
train_cfg = dict(max_iters=max_iters, val_interval=50)
train_dataloader = dict(
    dataset=dict(
        sources=dict(
            unsup=dict(
                _delete_=True,
                type='s5_mm.UnlabelledDataset',
                shards='curation/shards',
                pipeline=_base_.unlabelled['pipeline'],
            )
        )
    )
)
default_hooks = dict(checkpoint=dict(interval=150, max_keep_ckpts=1))
