# Labels alone and the recipe on drawn scenes, 6 of 150 with labels; the seed draws them
# and the training.  tools/demo.py draws the scenes and trains this grid.
iters = 280
seeds = [0, 1, 2]
baseline = 'labels_only'
options = {
    'split_seed': '{seed}',
    'max_iters': iters,
    'train_cfg.val_interval': iters // 4,
    # The last checkpoint counts; none is chosen by the test images.
    'default_hooks.checkpoint.save_best': None,
}
arms = dict(
    labels_only=dict(config='demo/supervised.py', options=options),
    recipe=dict(config='demo/fixmatch.py', options=options),
)
