# MDF for a laptop CPU: orcnn_vit-t.py with an FPN, oriented RPN and RoI head for each
# data set.
_base_ = ['./orcnn_vit-t.py']
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
