# A pass over the planned crops of a curation run.  data_curation/curate.py says where
# they are; by hand, with a run's directory and the collections of its config:
#   python tools/test.py configs/curation/score_vit-b.py CHECKPOINT --cfg-options
#     test_dataloader.dataset.work_dir=DIR
#     test_dataloader.dataset.collections.NAME.root=FOLDER
# The pass over the labelled crops, which makes the features of the prototypes:
#     test_dataloader.dataset.plan=cluster/plan
#     test_dataloader.dataset.gate=None
#     test_dataloader.dataset.output=cluster/score
#     default_hooks.patch_scoring.prototypes=None
#     default_hooks.patch_scoring.features=True
_base_ = ['./default_runtime_seg.py']
# Benchmarked algorithms of cuDNN differ from process to process, and so do their bits.
env_cfg = dict(cudnn_benchmark=False)
test_dataloader = dict(
    # The stream gives whole batches; how many crops each has is its own affair.
    batch_size=None,
    sampler=None,
    collate_fn=dict(type='torch.utils.data.default_convert'),
    num_workers=8,
    pin_memory=True,
    dataset=dict(
        type='s5_mm.CropStream',
        work_dir=None,
        collections=dict(),
        batch_size=16,
        size=512,
        small='reflect',
        high_byte=False,
        plan='plan',
        gate='scan',
        output='score',
    ),
)
test_evaluator = []
test_cfg = dict(type='TestLoop')
default_hooks = dict(
    _delete_=True,  # most of them are for training
    # A batch of the leakage check is up to 24 passes of the backbone.
    logger=dict(type='LoggerHook', interval=10),
    checkpoint_fit=dict(type='s5_mm.CheckpointFitHook'),
    dataset_check=dict(type='s5_mm.DatasetCheckHook'),
    patch_scoring=dict(
        type='s5_mm.PatchScoringHook',
        prototypes='cluster/prototypes.npz',
        features=False,
    ),
)
