# 5 of 240 harbours with labels, 60 others to choose by, all of
# them training images: recipes are chosen here and judged by harbours_5.py.
_base_ = ['../_base_/lab/arms.py']
seeds = list(range(10, 18))
lists = '{configs}/_base_/splits/hrsc_ships_dev'
split = {
    'labelled_list': f'{lists}/seed{{seed}}/labelled_5.txt',
    'unlabelled_list': f'{lists}/seed{{seed}}/unlabelled_5.txt',
    'val_dataloader.dataset.ann_file': f'{lists}/test.txt',
    'test_dataloader.dataset.ann_file': f'{lists}/test.txt',
}
arms = {
    name: dict(
        arm,
        config=f's4p/eff-lite0_hrsc{arm["config"]}.py',
        options={**_base_.common, **split, **arm['options']},
    )
    for name, arm in {**_base_.method_arms, **_base_.long_arms}.items()
}
