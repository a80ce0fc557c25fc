# 12 of 49 Dubai tiles with labels, the others of the same city without.  With the
# folder that holds dubai/:
#   python tools/analysis_tools/s4_lab.py configs/lab/dubai_1-4.py --data FOLDER
_base_ = ['../_base_/lab/arms.py']
split = {'split_seed': '{seed}', 'num_labelled': '1-4'}
arms = {
    name: dict(
        arm,
        config=f's4p/eff-lite0_dubai{arm["config"]}.py',
        options={**_base_.common, **split, **arm['options']},
    )
    for name, arm in {**_base_.method_arms, **_base_.long_arms}.items()
}
