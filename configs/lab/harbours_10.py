# 10 of 300 harbours with labels.  With the folder that holds hrsc_ships/:
#   python tools/analysis_tools/s4_lab.py configs/lab/harbours_10.py --data FOLDER
_base_ = ['../_base_/lab/arms.py']
seeds = list(range(10))
split = {'split_seed': '{seed}', 'num_labelled': 10}
arms = {
    name: dict(
        arm,
        config=f's4p/eff-lite0_hrsc{arm["config"]}.py',
        options={**_base_.common, **split, **arm['options']},
    )
    for name, arm in {**_base_.method_arms, **_base_.long_arms}.items()
}
