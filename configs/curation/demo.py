# Half of the demo's unlabelled scenes, by what its initial model says of them;
# tools/demo.py says where they are.
data_root = 'work_dirs/demo/data/'
collections = dict(scenes=dict(root=data_root + 'unlabelled'))
labelled = dict(root=data_root + 'img_dir/train')
crop = dict(size=128, stride=128)
scorer = dict(config='configs/curation/score_demo.py')
prototypes = dict(num_clusters=4)  # of 16 labelled scenes
selection = dict(num_selected=200)
check = dict(
    benchmarks=dict(scenes=dict(val=dict(root=data_root + 'img_dir/val'))),
    features=None,  # scenes are drawn one by one
)
shards = dict(per_shard=100)
