"""ViTMoE: one backbone for several data sets, exact against separate passes."""

import pytest
import torch

from s5_mm.checkpoints import CheckpointError, load_into
from s5_mm.models.backbones import ViT, ViTMoE
from s5_mm.registry import MODELS
from s5_mm.utils.routing import DatasetSlice, RoutingError, contiguous_slices

SIZE = dict(
    arch=dict(embed_dims=24, num_layers=4, num_heads=2),
    img_size=32,
    patch_size=8,
    drop_path_rate=0.0,
)
NAMES = ['a', 'a', 'b', 'c', 'c', 'c']


def build(cls=ViTMoE, **kwargs):
    torch.manual_seed(0)
    if cls is ViTMoE:
        kwargs = dict(datasets=['a', 'b', 'c'], part_features=8, **kwargs)
    model = cls(**{**SIZE, **kwargs})
    model.init_weights()
    return model.double()


@pytest.fixture(scope='module')
def images():
    torch.manual_seed(1)
    return torch.randn(6, 3, 32, 48, dtype=torch.float64)


def scalar(maps):
    """A different weight for every level, summed over samples."""
    return sum(((i + 1) * level**2).mean(dim=(1, 2, 3)).sum() for i, level in
               enumerate(maps))  # fmt: skip


@pytest.mark.parametrize('with_cp', [False, True])
def test_mixed_batch_is_separate_passes(images, with_cp):
    model = build(with_cp=with_cp)
    mixed = model(images, slices=contiguous_slices(NAMES))
    scalar(mixed).backward()
    got = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    for part in contiguous_slices(NAMES):
        own = DatasetSlice(part.name, 0, part.stop - part.start)
        maps = model(images[part.start : part.stop], slices=[own])
        for level, alone in zip(mixed, maps, strict=True):
            piece = level[part.start : part.stop]
            torch.testing.assert_close(piece, alone, rtol=1e-12, atol=1e-12)
        scalar(maps).backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(
            got[name], parameter.grad, rtol=1e-12, atol=1e-12, msg=name
        )


def test_absent_data_set_gets_no_gradient(images):
    model = build()
    scalar(model(images[:2], slices=[DatasetSlice('b', 0, 2)])).backward()
    for name, parameter in model.named_parameters():
        absent = '.experts.a.' in name or '.experts.c.' in name
        assert (parameter.grad is None) == absent, name


@pytest.mark.parametrize('way', ['load_state_dict', 'load_into'])
def test_dense_checkpoint_makes_every_path_the_dense_network(images, way):
    dense, model = build(ViT), build()
    if way == 'load_into':
        report = load_into(model, {'state_dict': dense.state_dict()}, 'dense.pth')
        assert report.missing == []
        assert report.not_used == []
    else:
        model.load_state_dict(dense.state_dict())
    want = dense(images)
    for level, other in zip(
        model(images, slices=contiguous_slices(NAMES)), want, strict=True
    ):
        torch.testing.assert_close(level, other, rtol=1e-12, atol=1e-12)
    for name in 'abc':
        maps = model(images, slices=[DatasetSlice(name, 0, 6)])
        for level, other in zip(maps, want, strict=True):
            torch.testing.assert_close(level, other, rtol=1e-12, atol=1e-12)


def test_pretrained_init_reads_a_dense_file(tmp_path, images):
    dense = build(ViT)
    path = tmp_path / 'dense.pth'
    torch.save(dense.state_dict(), path)
    model = build(init_cfg=dict(type='Pretrained', checkpoint=str(path)))
    got = model(images, slices=contiguous_slices(NAMES))
    for level, other in zip(got, dense(images), strict=True):
        torch.testing.assert_close(level, other, rtol=1e-12, atol=1e-12)


def test_folded_state_is_a_dense_network(images):
    model, dense = build(), build(ViT)
    for name in model.datasets:
        state = model.fold_state(name)
        dense.load_state_dict(state)  # strict: the dense names and shapes
        want = model(images, slices=[DatasetSlice(name, 0, 6)])
        for level, other in zip(dense(images), want, strict=True):
            torch.testing.assert_close(level, other, rtol=1e-12, atol=1e-12)


def test_experts_of_other_data_sets_are_refused_and_skipped_on_request():
    source, model = build(), build(ViTMoE)
    stored = {
        name.replace('.experts.c.', '.experts.z.'): value
        for name, value in source.state_dict().items()
    }
    message = r"moe.pth: it holds experts for \['a', 'b', 'z'\], none for \['c'\]"
    with pytest.raises(CheckpointError, match=message):
        load_into(model, stored, 'moe.pth')
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    report = load_into(model, stored, 'moe.pth', mismatch='skip')
    assert len(report.missing) == 2 * len(model.layers)
    assert all('.experts.c.' in name for name in report.missing)
    assert all('.experts.z.' in name for name in report.not_used)
    assert torch.equal(
        model.layers[0].ffn.experts['a'].weight,
        source.layers[0].ffn.experts['a'].weight,
    )


def test_more_experts_than_needed_are_named_not_refused(images):
    source = build()
    torch.manual_seed(0)
    model = ViTMoE(datasets=['b'], part_features=8, **SIZE).double()
    report = load_into(model, source.state_dict(), 'moe.pth')
    assert report.missing == []
    assert len(report.not_used) == 2 * 2 * len(model.layers)
    want = source(images, slices=[DatasetSlice('b', 0, 6)])
    for level, other in zip(model(images), want, strict=True):
        torch.testing.assert_close(level, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize('part', [0, 25, -1, 1.5, '8'])
def test_part_features_outside_the_width_are_refused(part):
    with pytest.raises(ValueError, match='=.*, expected a whole number, 1 to 24,'):
        ViTMoE(datasets=['a'], part_features=part, **SIZE)


@pytest.mark.parametrize(
    ('names', 'message'),
    [
        ([], 'ViTMoE got no data sets'),
        (['a', 'b', 'a'], r"data set\(s\) \['a'\] occur more than once"),
        (['a.b'], "'a.b' cannot name a data set"),
        (['keys'], "'keys' cannot name a data set.*ModuleDict"),
        ([1], '1 cannot name a data set'),
    ],
)
def test_unfit_names_are_refused(names, message):
    with pytest.raises(ValueError, match=message):
        MODELS.build(dict(type='s5_mm.ViTMoE', datasets=names, **SIZE))


def test_batch_without_names_is_refused(images):
    with pytest.raises(RoutingError, match='does not say which data set'):
        build()(images)


def test_parameters_are_those_of_the_paper():
    # 768 wide, 12 deep, four data sets: 12 x 4 x (4 x 768 + 1) x 256 for the experts,
    # 12 x (4 x 768 + 1) x 256 less in the shared part.
    with torch.device('meta'):
        dense = ViT(arch='b')
        mixed = ViTMoE(datasets=list('abcd'), part_features=256, arch='b')
    count = [sum(p.numel() for p in m.parameters()) for m in (dense, mixed)]
    assert count[1] - count[0] == 12 * 3 * (4 * 768 + 1) * 256
