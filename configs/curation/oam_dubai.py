# Curation small enough for a laptop CPU, on real imagery: 500 of the patches of five
# kinds of unlabelled images, for the labelled tiles of Dubai.  With the folder that
# holds them all and a checkpoint of configs/s4p/vit-t_dubai_supervised.py:
#   python data_curation/curate.py run configs/curation/oam_dubai.py --work-dir DIR \
#     --cfg-options data_root=FOLDER scorer.checkpoint=CHECKPOINT
data_root = 'data/'
collections = dict(
    oam=dict(root=data_root + 'oam_tiles'),
    korea=dict(root=data_root + 'korea_s2', folder='img_dir'),
    harbours=dict(root=data_root + 'hrsc_ships', folder='img_dir'),
    dota=dict(root=data_root + 'dota8'),
    # Flat, empty and broken tiles, to see that none gets through:
    #   python -c "from s5_mm.testing import adversarial_pool as pool; \
    #     pool('FOLDER/spoiled', 400, size=256, share=1.0)"
    spoiled=dict(root=data_root + 'spoiled', folder='unlabelled'),
)
labelled = dict(root=data_root + 'dubai', folder='img_dir/train')
# S4P cuts and scales 128 px out of them.
crop = dict(size=256, stride=256)
plan = dict(rows_per_part=512)
scorer = dict(config='configs/curation/score_vit-t_dubai.py')
prototypes = dict(num_clusters=16)
selection = dict(num_selected=500)
check = dict(
    benchmarks=dict(
        dubai=dict(val=dict(root=data_root + 'dubai', folder='img_dir/val')),
    ),
    # Features of a ViT this small are alike; 0.95 would compare most pairs of crops.
    features=0.998,
)
