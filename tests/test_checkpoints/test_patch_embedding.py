"""Patch embeddings of other patches and bands give the tokens they should."""

import pytest
import torch
import torch.nn.functional as F

from s5_mm.checkpoints import repeat_bands, resample_patches


def _tokens(weight, patches):
    return torch.einsum('cbij,nbij->nc', weight, patches)


@pytest.mark.parametrize('size', [5, 6, 8])
def test_enlarged_patches_give_the_tokens_of_the_originals(size):
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(3, 2, 4, 4, generator=generator, dtype=torch.float64)
    patches = torch.randn(7, 2, 4, 4, generator=generator, dtype=torch.float64)
    enlarged = F.interpolate(patches, (size, size), mode='bilinear')
    torch.testing.assert_close(
        _tokens(resample_patches(weight, size), enlarged), _tokens(weight, patches)
    )


def test_smaller_patches_are_the_best_fit():
    generator = torch.Generator().manual_seed(1)
    weight = torch.randn(1, 1, 6, 6, generator=generator, dtype=torch.float64)
    small = resample_patches(weight, 4)
    shrink = F.interpolate(
        torch.eye(36, dtype=torch.float64).view(36, 1, 6, 6), (4, 4), mode='bilinear'
    ).flatten(1)

    def miss(candidate):
        return (shrink @ candidate.flatten() - weight.flatten()).norm()

    best = miss(small)
    for _ in range(20):
        step = torch.randn(1, 1, 4, 4, generator=generator, dtype=torch.float64)
        assert miss(small + 0.01 * step) > best


def test_nothing_to_do():
    weight = torch.randn(2, 3, 4, 4)
    assert resample_patches(weight, 4) is weight
    assert repeat_bands(weight, 3) is weight
    assert resample_patches(weight.half(), 5).dtype == torch.float16


@pytest.mark.parametrize('bands', [1, 2, 4, 6, 8, 13])
def test_a_grey_image_gives_the_same_tokens(bands):
    generator = torch.Generator().manual_seed(2)
    weight = torch.randn(3, 3, 4, 4, generator=generator, dtype=torch.float64)
    grey = torch.randn(5, 1, 4, 4, generator=generator, dtype=torch.float64)
    found = repeat_bands(weight, bands)
    assert found.shape == (3, bands, 4, 4)
    torch.testing.assert_close(
        _tokens(found, grey.expand(-1, bands, -1, -1)),
        _tokens(weight, grey.expand(-1, 3, -1, -1)),
    )
    if bands == 6:
        torch.testing.assert_close(found[:, :3], weight / 2)
