"""A sigmoid head of one channel is a head of two classes with the logits (0, z)."""

import copy
import re

import mmseg.models.segmentors as host
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from s5_mm.curation.scoring import PatchScorer
from s5_mm.engine.hooks.seg_panel_hook import _figures, _mask
from s5_mm.evaluation import SegmentationMetric
from s5_mm.models.segmentors import EncoderDecoder, FixMatch, SemiBaseSegmentor
from s5_mm.registry import MODELS

from ..toys import toy_segmentor
from .fixmatch_toys import H, W, draw_batch
from .multi_dataset import build

CE = 'mmseg.CrossEntropyLoss'


def _segmentor(channels=1, **loss):
    config = toy_segmentor('none', 2)
    if channels == 1:
        config.decode_head.update(out_channels=1, threshold=0.4)
    sigmoid = dict(type=CE, use_sigmoid=channels == 1, avg_non_ignore=True)
    config.decode_head.loss_decode = {**sigmoid, **loss}
    return config


def _model(cls, channels=1, **kwargs):
    torch.manual_seed(0)
    model = cls(_segmentor(channels), **kwargs).double()
    model.student.decode_head.conv_seg.weight.data.mul_(30)
    return model


def _binary_batch():
    inputs, samples, mix = draw_batch()
    for sample in samples['sup']:
        labels = sample.gt_sem_seg.data
        labels[labels < 255] %= 2
    return inputs, samples, mix


def _twins(cls, **kwargs):
    """A model with one channel, and one with the channels 0 and z."""
    one, two = _model(cls, 1, **kwargs), _model(cls, 2, **kwargs)
    state = one.student.state_dict()
    for name in ('decode_head.conv_seg.weight', 'decode_head.conv_seg.bias'):
        state[name] = torch.cat([torch.zeros_like(state[name]), state[name]])
    two.student.load_state_dict(state)
    return one, two


@pytest.mark.parametrize('avg_non_ignore', [True, False])
def test_supervised_loss_is_mmsegs_sigmoid_cross_entropy(avg_non_ignore):
    inputs, samples, _ = _binary_batch()
    config = _segmentor(avg_non_ignore=avg_non_ignore)
    ours = SemiBaseSegmentor(copy.deepcopy(config)).double()
    config.pop('type')
    theirs = host.EncoderDecoder(**config).double()
    theirs.load_state_dict(ours.student.state_dict())
    found = ours(dict(sup=inputs['sup']), samples, mode='loss')
    truth = [
        SegDataSample(gt_sem_seg=PixelData(data=s.gt_sem_seg.data.long()))
        for s in samples['sup']
    ]
    wanted = theirs(inputs['sup'], truth, mode='loss')['decode.loss_ce']
    torch.testing.assert_close(
        found['loss_sup'].float(), wanted.float(), rtol=1e-6, atol=0
    )


def test_fixmatch_is_that_of_two_channels():
    inputs, samples, mix = _binary_batch()
    one, two = _twins(FixMatch, semi_train_cfg=dict(conf_thresh=0.6))
    found, wanted = (m(inputs, samples, mode='loss', mix=mix) for m in (one, two))
    assert found.keys() == wanted.keys()
    assert 0.05 < found['mask_ratio'] < 0.95
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value)
    assert torch.equal(one.pseudo_counts, two.pseudo_counts)
    assert one.pseudo_counts[:2].min() > 0
    one.parse_losses(found)[0].backward()
    assert one.student.decode_head.conv_seg.weight.grad.any()


def test_predictions_know_the_threshold_up_to_metric_and_panel():
    inputs, samples, _ = _binary_batch()
    model = _model(FixMatch).eval()
    image = inputs['sup'][:1]
    sample = samples['sup'][0]
    sample.set_metainfo(dict(ori_shape=(H, W), img_shape=(H, W), img_path='a.png'))
    with torch.no_grad():
        z = model.student(image)
        z = torch.nn.functional.interpolate(z, (H, W), mode='bilinear')
        want = (z.sigmoid() > 0.4)[0].long()
        found = model.predict(image, [sample])[0]
        assert torch.equal(model.predict_labels(image), want)
    assert torch.equal(found.pred_sem_seg.data.long(), want)
    assert 0 < want.sum() < want.numel()
    metric = SegmentationMetric()
    metric.dataset_meta = dict(classes=('rest', 'thing'))
    metric.process({}, [found.to_dict()])
    truth = sample.gt_sem_seg.data
    right = (want == truth)[truth != 255].double().mean()
    assert metric.evaluate(1)['OA'] == round(100 * right.item(), 2)
    masks = [_mask(found, name, (H, W)) for name in ('pred_sem_seg', 'gt_sem_seg')]
    assert f'OA {100 * right:.1f}' in _figures(*masks, 2)


@torch.no_grad()
def test_patch_scores_are_those_of_two_channels():
    one, two = _twins(PatchScorer, background=0, mode='keep')
    images = _binary_batch()[0]['sup']
    found, wanted = one.predict(images)[0], two.predict(images)[0]
    assert found['class_areas'].shape == (2, 2)
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value)


ADVICE = (
    "one channel takes num_classes=2 and loss_decode=dict(type='CrossEntropyLoss', "
    'use_sigmoid=True) without class_weight; for other losses leave out_channels out'
)


@pytest.mark.parametrize(
    'loss',
    [
        dict(type=CE, use_sigmoid=False),
        dict(type='mmseg.DiceLoss'),
        dict(type=CE, use_sigmoid=True, class_weight=[2.0]),
    ],
)
@pytest.mark.parametrize('cls', [SemiBaseSegmentor, FixMatch, EncoderDecoder])
def test_losses_that_mean_nothing_for_one_channel_are_refused(cls, loss):
    config = _segmentor()
    config.decode_head.pop('loss_decode')
    config.decode_head.loss_decode = loss
    kind = loss['type'].removeprefix('mmseg.')
    message = f'decode_head: out_channels=1 with num_classes=2 and {kind} found; '
    config = dict(config, type='s5_mm.EncoderDecoder')
    if cls is not EncoderDecoder:
        config = dict(type=f's5_mm.{cls.__name__}', segmentor=config)
    with pytest.raises(ValueError, match=re.escape(message + ADVICE)):
        MODELS.build(config)


def test_one_class_is_refused():
    config = toy_segmentor('none', 1)
    config.decode_head.loss_decode.use_sigmoid = True
    with pytest.raises(ValueError, match='out_channels=1 with num_classes=1'):
        SemiBaseSegmentor(config)


def test_models_of_several_data_sets_refuse_one_channel():
    loss = dict(type=CE, use_sigmoid=True)
    own = dict(num_classes=2, decode_head=dict(out_channels=1, loss_decode=loss))
    message = (
        'datasets.b.decode_head.out_channels=1 found; MultiDatasetSegmentor takes '
        'num_classes=2 with a softmax loss: leave out_channels and use_sigmoid out'
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        build(datasets=dict(a=dict(num_classes=5), b=own))
