# RS4P-1M of the paper: a million patches out of MillionAID, SAMRS and STAR, chosen by a
# ViT-H + UPerNet that was trained on iSAID.  With the images below data_root:
#   python data_curation/curate.py run configs/curation/rs4p1m.py --work-dir curation
_base_ = ['../_base_/curation/provenance.py']
data_root = 'data/'
collections = dict(
    millionaid=dict(root=data_root + 'millionaid'),
    samrs_sior=dict(root=data_root + 'samrs/SIOR'),
    samrs_sota=dict(root=data_root + 'samrs/SOTA'),
    samrs_fast=dict(root=data_root + 'samrs/FAST'),
    # Scenes of up to 27,860 x 31,096 px; such a one has 3,294 patches.
    star=dict(root=data_root + 'star', max_crops=1000),
)
labelled = dict(root=data_root + 'isaid_512', folder='img_dir/train')
crop = dict(
    size=512,
    stride=512,  # the paper gives none; no overlap
    small='reflect',  # MillionAID has images of 110 px
    min_size=256,
)
scorer = dict(
    config='configs/curation/score_vit-h.py',  # the paper's initial model
    checkpoint='work_dirs/vit-h_isaid_supervised/iter_120000.pth',
    num_processes=8,
)
prototypes = dict(num_clusters=100)  # M; the paper gives none
selection = dict(num_selected=1_000_000)  # B^u
# What S4P and fine-tuning are judged on.  OpenEarthMap's validation images lie between
# its others: give them as a list_file.
check = dict(
    benchmarks=dict(
        isaid=dict(val=dict(root=data_root + 'isaid_512', folder='img_dir/val')),
        dior_r=dict(test=dict(root=data_root + 'DIOR', folder='JPEGImages-test')),
        dota_v2=dict(
            val=dict(root=data_root + 'dotav2_1024_200', folder='val/images'),
            test=dict(root=data_root + 'dotav2_1024_200', folder='test/images'),
        ),
        vaihingen=dict(val=dict(root=data_root + 'vaihingen', folder='img_dir/val')),
        potsdam=dict(val=dict(root=data_root + 'potsdam', folder='img_dir/val')),
        loveda=dict(val=dict(root=data_root + 'loveDA', folder='img_dir/val')),
    ),
)
