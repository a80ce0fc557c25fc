# 200 of a pool of unlabelled harbours, tiles of another domain and spoiled tiles, which
# tools/misc/s4_pool.py writes.  The labelled images are those of a seed, whose model
# scores; docs/lab/s4_protocol.md has the commands.
data_root = 'POOL/'
split_seed = 0
lists = f'{{ fileDirname }}/../_base_/splits/hrsc_ships/seed{split_seed}'
collections = dict(
    harbours=dict(root=data_root + 'hrsc_ships', list_file=f'{lists}/unlabelled_5.txt'),
    other=dict(root=data_root + 'other'),
    spoiled=dict(root=data_root + 'spoiled'),
)
labelled = dict(
    root=data_root + 'hrsc_ships', list_file=f'{lists}/labelled_5.txt', separator='\t'
)
crop = dict(size=256, stride=256)
scorer = dict(config='configs/curation/score_eff-lite0_hrsc.py')
prototypes = dict(num_clusters=5)  # one per labelled image
selection = dict(num_selected=200)
check = dict(
    benchmarks=dict(
        harbours=dict(
            val=dict(root=data_root + 'hrsc_ships', folder='img_dir/val'),
        ),
    ),
    features=None,  # hashes find copies; these images do not overlap
)
