# Eq. 1 with the supervised model of configs/s4p/eff-lite0_hrsc_supervised.py.  Its
# three classes cover every pixel: none is a background.
_base_ = ['../_base_/models/fixmatch_fpn_eff-lite0.py', '../_base_/score_crops.py']
segmentor = _base_.model.segmentor
segmentor.backbone.init_cfg = None  # the checkpoint has all weights
segmentor.decode_head.num_classes = 3
normalisation = _base_.model.data_preprocessor
model = dict(
    _delete_=True,
    type='s5_mm.PatchScorer',
    segmentor=segmentor,
    background=None,
    amp_dtype=None,
    data_preprocessor=dict(
        type='ImgDataPreprocessor', mean=normalisation.mean, std=normalisation.std
    ),
)
test_dataloader = dict(
    num_workers=1,
    pin_memory=False,
    dataset=dict(size=256, metainfo=dict(classes=('water', 'land', 'ship'))),
)
