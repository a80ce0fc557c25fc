"""Eq. 1 against its plain formulation in double precision."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from s5_mm.curation.scoring.entropy import (
    BACKGROUND_MODES,
    check_background,
    pixel_scores,
)


def plain(logits, size, align_corners, background, mode):
    """The formulas as they are written, everything at once, in fp64."""
    z = F.interpolate(
        logits.double(), size, mode='bilinear', align_corners=align_corners
    )
    p = z.softmax(1)
    k = z.shape[1]
    foreground = [i for i in range(k) if i != background]
    q = z[:, foreground].softmax(1) if mode == 'renormalise' else p
    if mode == 'drop':
        q = p[:, foreground]
    entropy = -torch.special.xlogy(q, q).sum(1).mean((1, 2))
    classes = z.argmax(1)
    areas = torch.stack([(classes == i).double().mean((1, 2)) for i in range(k)], 1)
    share = sum(areas[:, i] for i in foreground)
    return entropy, share, p.amax(1).mean((1, 2)), areas


@pytest.mark.parametrize('mode', BACKGROUND_MODES)
@pytest.mark.parametrize('background', [0, 3, 6, None])
@pytest.mark.parametrize('align_corners', [False, True])
@pytest.mark.parametrize('scale', [1.0, 30.0])
def test_equals_the_plain_formulation(mode, background, align_corners, scale) -> None:
    torch.manual_seed(0)
    logits = torch.randn(3, 7, 9, 8) * scale
    size = (36, 37)
    wanted = plain(logits, size, align_corners, background, mode)
    for band in (1, 5 * 3 * 7 * 37, 2**22):
        found = pixel_scores(logits, size, align_corners, background, mode, band)
        for mine, reference in zip(found, wanted, strict=True):
            assert mine.dtype == torch.float32
            assert (mine - reference).abs().max() < 1e-5
        assert (found.class_areas.sum(1) - 1).abs().max() < 1e-6


@pytest.mark.parametrize('mode', BACKGROUND_MODES)
@pytest.mark.parametrize('lead', [20.0, 200.0, -200.0])
def test_a_sure_background_hides_nothing(mode, lead) -> None:
    torch.manual_seed(1)
    logits = torch.randn(2, 5, 6, 6)
    logits[:, 2] += lead
    found = pixel_scores(logits, (24, 24), background=2, mode=mode)
    wanted = plain(logits, (24, 24), False, 2, mode)
    for mine, reference in zip(found, wanted, strict=True):
        assert torch.isfinite(mine).all()
        # The background's own term is that of a 1 in fp32.
        atol = 1e-7 if mode == 'keep' else 1e-12
        torch.testing.assert_close(mine.double(), reference, rtol=1e-4, atol=atol)
    if mode == 'renormalise':  # else close to 0: a flat tile is ranked first
        assert found.entropy.min() > 0.5


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_half_precision_is_worked_on_in_fp32(dtype) -> None:
    torch.manual_seed(2)
    logits = (torch.randn(2, 16, 8, 8) * 4).to(dtype)
    found = pixel_scores(logits, (32, 32))
    wanted = plain(logits, (32, 32), False, 0, 'drop')
    for mine, reference in zip(found, wanted, strict=True):
        assert (mine - reference).abs().max() < 1e-5


def test_many_pixels_are_summed_without_loss() -> None:
    logits = torch.zeros(1, 3, 2, 2)
    found = pixel_scores(logits, (1500, 1500), background=None, mode='keep')
    assert abs(found.entropy.item() - np.log(3)) < 1e-6
    assert found.foreground.item() == 1
    # Equal classes go to the lower id, also against the background.
    assert pixel_scores(logits, (4, 4), background=2).class_areas.tolist() == [
        [1, 0, 0]
    ]
    assert pixel_scores(logits, (4, 4), background=0).foreground.tolist() == [0]


def test_a_row_does_not_depend_on_its_batch() -> None:
    torch.manual_seed(3)
    logits = torch.randn(5, 6, 8, 8)
    whole = pixel_scores(logits, (32, 32))
    alone = [pixel_scores(logits[i : i + 1], (32, 32)) for i in range(5)]
    for index, field in enumerate(whole):
        assert torch.equal(field, torch.cat([scores[index] for scores in alone]))


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (
            (7, 0, 'without'),
            r"mode='without', allowed are 'drop', 'renormalise' and 'ke",
        ),
        ((7, 7, 'drop'), r'background=7, expected 0 to 6, the id'),
        ((7, -1, 'drop'), r'background=-1, expected 0 to 6, the id'),
        ((1, None, 'keep'), r'num_classes=1; Eq. 1 is of a softmax over at least 2'),
        ((2, 0, 'renormalise'), r'two classes beside the background, .* num_classes=2'),
    ],
)
def test_refused_backgrounds(arguments, message) -> None:
    with pytest.raises(ValueError, match=message):
        check_background(*arguments)


def test_refused_logits() -> None:
    with pytest.raises(ValueError, match=r'shape \(3, 4, 4\), expected \(B, K, h, w\)'):
        pixel_scores(torch.zeros(3, 4, 4), (4, 4))
