# 5 of 300 harbours with labels; the seed draws them and the training.  From ImageNet
# weights and from a random start.  With the folder that holds hrsc_ships/:
#   python tools/analysis_tools/s4_lab.py configs/lab/harbours_5.py --data FOLDER
_base_ = ['../_base_/lab/arms.py']
seeds = list(range(10))
split = {'split_seed': '{seed}', 'num_labelled': 5}
# What of the gain comes from the other images: the labelled ones are the unlabelled.
lists = '{configs}/_base_/splits/hrsc_ships/seed{seed}'
own_images_only = dict(
    config='',
    options={
        'unlabelled_list': f'{lists}/labelled_5.txt',
        'train_dataloader.dataset.sources.unsup.separator': '\t',  # then the mask
    },
)
arms = {
    name: dict(
        arm,
        config=f's4p/eff-lite0_hrsc{arm["config"]}.py',
        options={**_base_.common, **split, **arm['options']},
    )
    for name, arm in {
        **_base_.method_arms,
        'own_images_only': own_images_only,
        **_base_.long_arms,
        **_base_.random_arms,
    }.items()
}
