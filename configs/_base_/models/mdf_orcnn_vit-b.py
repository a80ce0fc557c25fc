# MDF: plain ViT-B, shared, and for each data set an FPN, oriented RPN and RoI head.
# The data sets bring their numbers of classes.
_base_ = ['./orcnn_vit-b.py']
detector = _base_.model
preprocessor = detector.pop('data_preprocessor')
vit = detector.pop('backbone')
detector.roi_head.bbox_head.pop('num_classes')
model = dict(
    _delete_=True,
    type='s5_mm.MultiDatasetDetector',
    data_preprocessor=preprocessor,
    backbone=vit,
    detector=detector,
    datasets=dict(),
)
