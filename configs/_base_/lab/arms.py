# Arms of the labs (docs/lab/s4_protocol.md): labels alone, FixMatch as in the paper,
# and the recipe of configs/s4p/eff-lite0_* with one part removed at a time.  `config`
# is what follows the name of the data set.
seeds = [0, 1, 2, 3, 4]
baseline = 'labels_only'
# The last checkpoint counts; none is chosen by the test images.
common = {'default_hooks.checkpoint.save_best': None}
semi = 'model.semi_train_cfg.'
cutmix = {'model.data_preprocessor.cutmix.prob': 0.5}
fixed_threshold = {
    semi + 'conf_thresh': 0.95,
    semi + 'threshold': None,
    semi + 'soft_targets': False,
}
paper = {
    **cutmix,
    **fixed_threshold,
    semi + 'burn_in': 0,
    semi + 'ramp': 0,
    semi + 'ema_momentum': None,
}
top_share = dict(_delete_=True, type='s5_mm.TopShare', share=0.5)
unfrozen = {'model.segmentor.backbone.frozen_stages': -1}
# Images and crops are drawn without a look at their classes.
any_image = {'train_dataloader.sampler.sampling': None}
method_arms = dict(
    labels_only=dict(config='_supervised', options={}),
    paper=dict(config='', options=paper),
    recipe=dict(config='', options={}),
    no_burn_in=dict(config='', options={semi + 'burn_in': 0}),
    no_ramp=dict(config='', options={semi + 'ramp': 0}),
    no_ema=dict(config='', options={semi + 'ema_momentum': None}),
    copied_statistics=dict(config='', options={semi + 'ema_buffers': 'copy'}),
    with_cutmix=dict(config='', options=cutmix),
    # In place of every pixel by what the teacher half sees: by its label, the surest
    # half of each class, and what the paper counts.
    hard_labels=dict(config='', options={semi + 'soft_targets': False}),
    top_share=dict(
        config='',
        options={semi + 'soft_targets': False, semi + 'threshold': top_share},
    ),
    threshold_95=dict(config='', options=fixed_threshold),
    # Compared with labels alone trained like this.
    labels_only_any_image=dict(
        config='_supervised', options=any_image, against='labels_only_any_image'
    ),
    any_image=dict(config='', options=any_image, against='labels_only_any_image'),
    labels_only_unfrozen=dict(
        config='_supervised', options=unfrozen, against='labels_only_unfrozen'
    ),
    no_freezing=dict(config='', options=unfrozen, against='labels_only_unfrozen'),
)
# Twice as long: a burn-in of 400 iterations, against labels alone for 800.
long = {'max_iters': 800}
long_arms = dict(
    labels_only_800=dict(config='_supervised', options=long, against='labels_only_800'),
    recipe_800=dict(config='', options=long, against='labels_only_800'),
)
random_start = {**unfrozen, 'model.segmentor.backbone.init_cfg': None}
random_arms = dict(
    labels_only_random=dict(
        config='_supervised', options=random_start, against='labels_only_random'
    ),
    paper_random=dict(
        config='', options={**paper, **random_start}, against='labels_only_random'
    ),
    recipe_random=dict(config='', options=random_start, against='labels_only_random'),
)
