# What the runs of both tasks have in common; default_runtime_{seg,det}.py add the rest.
custom_imports = dict(imports=['s5_mm'], allow_failed_imports=False)
env_cfg = dict(
    cudnn_benchmark=True,
    # OpenCV's own threads would fight with the worker processes.
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)
# Draws are functions of (seed, sample), so one seed serves all ranks.
randomness = dict(seed=0, diff_rank_seed=False)
# Without device_ids, which mmengine sets by default, DDP runs on CPU processes too.
model_wrapper_cfg = dict(
    type='MMDistributedDataParallel',
    device_ids=None,
    broadcast_buffers=False,
    find_unused_parameters=False,
)
vis_backends = [dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')]
log_processor = dict(by_epoch=False)
log_level = 'INFO'
load_from = None
resume = False

default_hooks = dict(
    runtime_info=dict(type='s5_mm.DeferredRuntimeInfoHook'),
    timer=dict(type='s5_mm.DataWaitTimerHook'),
    logger=dict(type='LoggerHook', interval=50, log_metric_by_epoch=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(
        type='s5_mm.AtomicCheckpointHook',
        by_epoch=False,
        interval=2000,
        max_keep_ckpts=2,
    ),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    # Ours, in every run.
    iteration_seed=dict(type='s5_mm.IterationSeedHook'),
    preemption=dict(type='s5_mm.PreemptionHook'),
    non_finite=dict(type='s5_mm.NonFiniteHook', max_rate=0.1),
    bad_samples=dict(type='s5_mm.BadSampleHook', max_rate=0.01),
    checkpoint_fit=dict(type='s5_mm.CheckpointFitHook'),
    dataset_check=dict(type='s5_mm.DatasetCheckHook'),
    absent_datasets=dict(type='s5_mm.AbsentDatasetHook'),
    train_progress=dict(type='s5_mm.TrainProgressHook'),
    eval_progress=dict(type='s5_mm.EvalProgressHook'),
)
