# 3 of 11 Sentinel-2 scenes with labels, 4 others to choose by, all of
# them training images: recipes are chosen here and judged by korea_3.py.
_base_ = ['../_base_/lab/arms.py']
seeds = [10, 11, 12, 13]
lists = '{configs}/_base_/splits/korea_s2_dev'
split = {
    'labelled_list': f'{lists}/seed{{seed}}/labelled_3.txt',
    'unlabelled_list': f'{lists}/seed{{seed}}/unlabelled_3.txt',
    'val_dataloader.dataset.ann_file': f'{lists}/test.txt',
    'test_dataloader.dataset.ann_file': f'{lists}/test.txt',
}
arms = {
    name: dict(
        arm,
        config=f's4p/eff-lite0_korea{arm["config"]}.py',
        options={**_base_.common, **split, **arm['options']},
    )
    for name, arm in {**_base_.method_arms, **_base_.long_arms}.items()
}
