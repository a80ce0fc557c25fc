# 3 of 15 Sentinel-2 scenes of Korea with labels.  With the folder that holds korea_s2/:
#   python tools/analysis_tools/s4_lab.py configs/lab/korea_3.py --data FOLDER
_base_ = ['../_base_/lab/arms.py']
split = {'split_seed': '{seed}', 'num_labelled': 3}
arms = {
    name: dict(
        arm,
        config=f's4p/eff-lite0_korea{arm["config"]}.py',
        options={**_base_.common, **split, **arm['options']},
    )
    for name, arm in {**_base_.method_arms, **_base_.long_arms}.items()
}
