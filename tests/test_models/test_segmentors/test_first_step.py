"""What a person meets in the first step or validation, in terms of the config."""

import copy
import re

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from s5_mm.models.feature_channels import check_neck, fit_in_channels
from s5_mm.models.losses import check_losses
from s5_mm.models.segmentors import EncoderDecoder, FixMatch, SemiBaseSegmentor
from s5_mm.registry import MODELS
from s5_mm.testing.toy import toy_backbone
from s5_mm.testing.toy import toy_segmentor as toy_vit_segmentor

from ...support.distributed import run_ranks
from ..toys import toy_segmentor
from .multi_dataset import batch, build, config

SIZE = 32
SINGLE = (
    'batch normalisation got one value per channel from 1 image(s) of 32x32 px, pooled '
    'to 1x1 px by the head; give each process at least 2 (train_dataloader.batch_size '
    'and sampler.shares), or train on several processes with s5_mm.SyncBN'
)


def _labelled(count, label=1):
    images = torch.randn(count, 3, SIZE, SIZE)
    samples = [
        SegDataSample(
            gt_sem_seg=PixelData(data=torch.full((1, SIZE, SIZE), label).long())
        )
        for _ in range(count)
    ]
    return images, samples


def _loss(model, images, samples):
    if isinstance(model, EncoderDecoder):
        return model.loss(images, samples)
    return model.loss(dict(sup=images), dict(sup=samples))


def _model(cls, norm='BN'):
    config = toy_vit_segmentor(type='s5_mm.EncoderDecoder')
    config['decode_head']['norm_cfg'] = dict(type=norm)
    if cls is EncoderDecoder:
        return MODELS.build(config).train()
    burn_in = dict(semi_train_cfg=dict(burn_in=5)) if cls is FixMatch else {}
    return cls(config, **burn_in).train()


@pytest.mark.parametrize('norm', ['BN', 's5_mm.SyncBN'])
@pytest.mark.parametrize('cls', [SemiBaseSegmentor, FixMatch, EncoderDecoder])
def test_one_labelled_image_names_the_settings(cls, norm):
    model = _model(cls, norm)
    with pytest.raises(ValueError, match=re.escape(f'{cls.__name__}: {SINGLE}')):
        _loss(model, *_labelled(1))
    assert all(torch.isfinite(v).all() for v in _loss(model, *_labelled(2)).values())


def test_one_image_of_a_data_set_names_it():
    model = build(moe=False).train()
    with pytest.raises(ValueError, match=re.escape(f'data set b: {SINGLE}')):
        model.loss(*batch('aab'))


def _rank_loss(rank, world):
    torch.manual_seed(rank)
    model = _model(SemiBaseSegmentor, 's5_mm.SyncBN')
    return dict(loss=_loss(model, *_labelled(1))['loss_sup'].detach())


def test_one_image_per_process_trains_with_synchronised_statistics(tmp_path):
    assert all(rank['loss'] > 0 for rank in run_ranks(_rank_loss, 2, tmp_path))


@pytest.mark.parametrize('cls', [SemiBaseSegmentor, EncoderDecoder])
def test_a_label_beyond_the_classes_names_the_head(cls):
    message = (
        f'{cls.__name__}: a label is 7, the decode head has num_classes=6, so labels '
        "0 to 5 and 255 are allowed; set the head's num_classes and the data set's"
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        _loss(_model(cls), *_labelled(2, label=7))


def test_a_label_beyond_the_classes_of_a_data_set_names_it():
    images, samples = batch('aabb')
    samples[2].gt_sem_seg.data.fill_(3)
    with pytest.raises(ValueError, match='data set b: a label is 3, the decode head h'):
        build(moe=False).train().loss(images, samples)


def test_other_errors_are_left_as_they_are():
    with pytest.raises(ValueError, match='expected images of shape'):
        _model(SemiBaseSegmentor).loss(
            dict(sup=torch.randn(2, 5, SIZE, SIZE)), dict(sup=_labelled(2)[1])
        )


# -- validation images of several sizes -----------------------------------------------
SIZES = [(32, 48), (40, 32), (32, 48), (64, 33)]


def _validation(sizes):
    draw = torch.Generator().manual_seed(0)
    images = [
        torch.randint(0, 256, (3, *size), generator=draw, dtype=torch.uint8)
        for size in sizes
    ]
    samples = [
        SegDataSample(metainfo=dict(ori_shape=size, img_shape=size, img_path=str(i)))
        for i, size in enumerate(sizes)
    ]
    return dict(inputs=images, data_samples=samples)


@pytest.mark.parametrize('padding', [None, dict(size_divisor=16)])
@pytest.mark.parametrize('cls', [SemiBaseSegmentor, EncoderDecoder])
@torch.no_grad()
def test_images_of_several_sizes_are_predicted_as_each_alone(cls, padding):
    torch.manual_seed(0)
    preprocessor = dict(mean=[120.0] * 3, std=[60.0] * 3, test_cfg=padding)
    config = toy_segmentor('bn')
    if cls is EncoderDecoder:
        preprocessor['type'] = 'mmseg.SegDataPreProcessor'
        config.pop('type')
        model = cls(**config, data_preprocessor=preprocessor).eval()
    else:
        preprocessor['type'] = 's5_mm.MultiBranchDataPreprocessor'
        model = cls(config, data_preprocessor=preprocessor).eval()
    found = model.val_step(_validation(SIZES))
    assert [sample.img_path for sample in found] == ['0', '1', '2', '3']
    again = model.test_step(_validation(SIZES))
    data = _validation(SIZES)
    for index, size in enumerate(SIZES):
        alone = {key: [value[index]] for key, value in data.items()}
        (want,) = model.val_step(copy.deepcopy(alone))
        for own in (found[index], again[index]):
            assert own.seg_logits.data.shape[-2:] == size
            torch.testing.assert_close(own.seg_logits.data, want.seg_logits.data)


# -- channels -------------------------------------------------------------------------
def _narrow(**parts):
    config = toy_vit_segmentor(type='s5_mm.EncoderDecoder')
    arch = dict(embed_dims=24, num_layers=4, num_heads=2)
    config['backbone'] = toy_backbone(SIZE, arch=arch, deferred_upsampling=True)
    config['decode_head'].pop('in_channels')
    config['decode_head']['type'] = 's5_mm.UPerHead'
    return ConfigDict({**config, **parts})


_FCN = dict(
    type='mmseg.FCNHead',
    in_index=0,
    channels=8,
    num_classes=6,
    concat_input=False,
    loss_decode=dict(type='mmseg.CrossEntropyLoss', avg_non_ignore=True),
)


def test_heads_get_channels_and_maps_of_the_backbone():
    """Any head behind a ViT whose last upsampling waits for a s5_mm.UPerHead."""
    images, samples = _labelled(2)
    model = MODELS.build(_narrow(auxiliary_head=[_FCN])).train()
    assert list(model.decode_head.in_channels) == [24] * 4
    assert model.auxiliary_head[0].in_channels == 24
    losses = model.loss(images, samples)
    assert {'decode.loss_ce', 'aux_0.loss_ce'} <= set(losses)
    plain = MODELS.build(_narrow(decode_head=_FCN)).eval()
    assert plain.decode_head.in_channels == 24
    found = plain(images)
    plain.backbone.deferred_upsampling = False
    torch.testing.assert_close(found, plain(images))
    neck = dict(type='mmseg.FPN', in_channels=[24] * 4, out_channels=8, num_outs=4)
    behind = MODELS.build(_narrow(neck=neck, decode_head=dict(_FCN, in_channels=8)))
    assert behind(images).shape == (2, 6, 8, 8)


def test_channels_of_another_backbone_are_refused():
    config = _narrow()
    config.decode_head.in_channels = [768] * 4
    message = (
        'decode_head.in_channels=[768, 768, 768, 768] found; the maps of the ViT have '
        '[24, 24, 24, 24] channels: set those, or leave in_channels out'
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        SemiBaseSegmentor(config)
    config.type = 'mmseg.EncoderDecoder'
    with pytest.raises(ValueError, match=re.escape(f'segmentor.{message}')):
        SemiBaseSegmentor(config)
    with pytest.raises(ValueError, match=re.escape('in_index=4 found; ViT returns 4')):
        MODELS.build(_narrow(decode_head=dict(_FCN, in_index=4)))
    neck = dict(type='mmseg.FPN', in_channels=[8] * 4, out_channels=8, num_outs=4)
    message = 'neck.in_channels=[8, 8, 8, 8] found; the maps of the ViT have [24, '
    with pytest.raises(ValueError, match=re.escape(message)):
        MODELS.build(_narrow(neck=neck))


def test_models_of_several_data_sets_get_channels_too():
    parts = config()
    parts.decode_head.pop('in_channels')
    model = MODELS.build(parts)
    assert {tuple(h.in_channels) for h in model.decode_heads.values()} == {(24,) * 4}
    parts.decode_head.in_channels = [16] * 4
    message = 'datasets.a.decode_head.in_channels=[16, 16, 16, 16] found; the maps of'
    with pytest.raises(ValueError, match=re.escape(message)):
        MODELS.build(parts)


def test_swin_names_its_channels():
    swin = MODELS.build(
        dict(type='s5_mm.SwinTransformer', embed_dims=8, depths=(2, 2, 2, 2),
             num_heads=(1, 1, 2, 2), out_indices=(0, 2, 3))
    )  # fmt: skip
    maps = swin(torch.randn(1, 3, 64, 64))
    assert swin.feature_channels == tuple(m.shape[1] for m in maps) == (8, 32, 64)


def test_backbones_of_others_are_taken_as_they_are():
    assert fit_in_channels(dict(in_index=7), torch.nn.Identity(), 'head') == dict(
        in_index=7
    )
    every = dict(in_channels=[1, 2], channels=8)  # as Mask2FormerHead's
    assert fit_in_channels(every, MODELS.build(toy_backbone()), 'head') == every
    check_neck(None, MODELS.build(toy_backbone()), 'neck')


def test_heads_without_configured_losses_are_not_asked_for_them():
    check_losses(torch.nn.Identity(), 'decode_head')
