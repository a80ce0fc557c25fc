"""A segmentor small enough for exact tests."""

from mmengine.config import ConfigDict
from mmengine.model import BaseModule
from torch import Tensor, nn

from s5_mm.registry import MODELS


@MODELS.register_module()
class ToyBackbone(BaseModule):
    """Two strided convolutions with batch normalisation: one map at stride 4."""

    def __init__(self, norm: str = 'bn') -> None:
        super().__init__()
        width = 8
        norms = dict(
            bn=lambda: nn.BatchNorm2d(width),
            sync=lambda: MODELS.build(dict(type='s5_mm.SyncBN', num_features=width)),
            none=nn.Identity,
        )
        self.layers = nn.Sequential(
            nn.Conv2d(3, width, 3, 2, 1),
            norms[norm](),
            nn.GELU(),
            nn.Conv2d(width, width, 3, 2, 1),
        )

    def forward(self, inputs: Tensor) -> tuple[Tensor]:
        return (self.layers(inputs),)


def toy_segmentor(norm: str = 'bn', num_classes: int = 4, auxiliary: bool = False):
    """Config of an mmseg EncoderDecoder around :class:`ToyBackbone`."""
    head = dict(
        type='mmseg.FCNHead',
        in_channels=8,
        in_index=0,
        channels=8,
        num_convs=1,
        concat_input=False,
        dropout_ratio=0.0,
        num_classes=num_classes,
        align_corners=False,
        loss_decode=dict(type='mmseg.CrossEntropyLoss', avg_non_ignore=True),
    )
    return ConfigDict(
        type='mmseg.EncoderDecoder',
        backbone=dict(type='s5_mm.ToyBackbone', norm=norm),
        decode_head=head,
        auxiliary_head=head if auxiliary else None,
        train_cfg=dict(),
        test_cfg=dict(mode='whole'),
    )
