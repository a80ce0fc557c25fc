# The paper's Table 2 where unlabelled images pay: 200 images out of a pool with another
# domain and spoiled tiles in it, chosen in four ways.  docs/lab/s4_protocol.md has the
# commands that make the pool and choose.
#   python tools/analysis_tools/s4_lab.py configs/lab/selection.py --data POOL
_base_ = ['../_base_/lab/arms.py']
split = {'split_seed': '{seed}', 'num_labelled': 5}
source = 'train_dataloader.dataset.sources.unsup.'
arms = dict(
    labels_only=dict(
        config='s4p/eff-lite0_hrsc_supervised.py', options={**_base_.common, **split}
    ),
    **{
        name: dict(
            config='s4p/eff-lite0_hrsc.py',
            options={
                **_base_.common,
                **split,
                source + 'ann_file': None,
                source + 'shards': f'{{data}}/selected/{name}_{{seed}}/shards',
            },
        )
        for name in ('s5', 'random', 'entropy_only', 'diversity_only')
    },
    # All harbours and nothing else: what a perfect filter would leave.
    harbours=dict(config='s4p/eff-lite0_hrsc.py', options={**_base_.common, **split}),
)
