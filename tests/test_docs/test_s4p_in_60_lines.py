"""The page's script runs as printed and computes what FixMatch computes."""

from __future__ import annotations

import copy
import re

import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from s5_mm.models import FixMatch
from s5_mm.testing import toy_segmentor

from .blocks import blocks_of

PAGE = 'docs/s4p_in_60_lines.md'
(BLOCK,) = blocks_of(PAGE, 'python')
SETUP, LOOP = BLOCK.text.split('\nfor iteration in range(3):\n')


def test_it_has_about_60_lines() -> None:
    lines = [line for line in BLOCK.text.splitlines() if line.strip()]
    assert 50 <= len(lines) <= 64


def test_losses_and_weights_are_those_of_fixmatch(
    capsys: pytest.CaptureFixture,
) -> None:
    page: dict = {}
    exec(SETUP, page)
    method = FixMatch(
        toy_segmentor(page['NUM_CLASSES'], page['SIZE']),
        dict(conf_thresh=page['TAU'], unsup_weight=page['LAMBDA']),
        data_preprocessor=dict(
            type='s5_mm.MultiBranchDataPreprocessor',
            mean=[123.675, 116.28, 103.53],
            std=[58.395, 57.12, 57.375],
            strong=dict(type='s5_mm.StrongAugment'),
            cutmix=dict(type='s5_mm.CutMix', prob=1.0),
        ),
    )
    method.student.load_state_dict(copy.deepcopy(page['network'].state_dict()))
    optimizer = torch.optim.AdamW(method.parameters(), lr=5e-5, weight_decay=0.01)

    ratios = []
    for iteration in range(3):
        exec(f'for iteration in [{iteration}]:\n{LOOP}', page)
        losses = method.train()(**_batch(method, page, iteration), mode='loss')
        (losses['loss_sup'] + losses['loss_unsup']).backward()
        optimizer.step()
        optimizer.zero_grad()
        for name in ('loss_sup', 'loss_unsup'):
            torch.testing.assert_close(losses[name], page[name])
        ratios.append(float(losses['mask_ratio']))
        assert page['region'].any()
        assert not page['x_us'].equal(page['x_uw'])
    # Some pixels count and some do not, so that the mask makes a difference.
    assert all(0.02 < ratio < 0.98 for ratio in ratios), ratios
    own = method.student.state_dict()
    for name, value in page['network'].state_dict().items():
        torch.testing.assert_close(own[name], value, atol=2e-5, rtol=1e-4)
    (output,) = blocks_of(PAGE, '')
    shown, printed = (
        [float(number) for number in re.findall(r'\d+\.\d+', text)]
        for text in (output.text, capsys.readouterr().out)
    )
    assert printed == pytest.approx(shown, rel=0.02, abs=0.02)


def _batch(method: FixMatch, page: dict, iteration: int) -> dict:
    """Prepare the batch of an iteration with the package's preprocessor."""
    inputs, samples = {}, {}
    for number, (source, count) in enumerate(dict(sup=2, unsup=4).items()):
        loaded = [page['load'](number, count * iteration + i) for i in range(count)]
        inputs[source] = torch.stack([torch.tensor(image) for _, image, _ in loaded])
        samples[source] = [
            SegDataSample(
                metainfo=dict(sample_key=key),
                gt_sem_seg=PixelData(data=torch.tensor(labels)[None]),
            )
            for key, _, labels in loaded
        ]
    return method.data_preprocessor(dict(inputs=inputs, data_samples=samples), True)
