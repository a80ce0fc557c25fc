"""Architectures by name and by dict, with errors that name what is wrong."""

import pytest

from s5_mm.models.backbones import ARCHS, resolve_arch

SIZES = dict(embed_dims=8, num_layers=4, num_heads=2)


def test_sizes_are_those_of_the_release():
    assert {name: tuple(vars(ARCHS[name]).values())[:4] for name in 'blh'} == {
        'b': (768, 12, 12, (3, 5, 7, 11)),
        'l': (1024, 24, 16, (7, 11, 15, 23)),
        'h': (1280, 32, 16, (15, 23, 27, 31)),
    }


def test_every_architecture_taps_its_last_layer_and_divides_into_heads():
    assert len(ARCHS) == 6
    for arch in ARCHS.values():
        assert len(arch.out_indices) == 4
        assert arch.out_indices[-1] == arch.num_layers - 1
        assert arch.embed_dims % arch.num_heads == 0


def test_a_dict_taps_after_each_quarter_unless_told():
    assert resolve_arch(SIZES).out_indices == (0, 1, 2, 3)
    assert resolve_arch(SIZES | dict(num_layers=24)).out_indices == (5, 11, 17, 23)
    assert resolve_arch(SIZES | dict(out_indices=[1, 3])).out_indices == (1, 3)
    assert resolve_arch(SIZES, [2]).out_indices == (2,)
    assert resolve_arch(SIZES | dict(mlp_ratio=2)).mlp_ratio == 2


def test_unknown_name():
    with pytest.raises(ValueError, match=r"arch='x' is unknown; .*\['b', 'g', 'h'"):
        resolve_arch('x')


def test_missing_and_unknown_keys_are_named():
    with pytest.raises(
        ValueError, match=r"misses \['num_heads'\] and has unknown keys \['depth'\]"
    ):
        resolve_arch(dict(embed_dims=8, num_layers=4, depth=4))


@pytest.mark.parametrize('taps', [[3, 4], [-1, 2], [2, 1], [1, 1], []])
def test_taps_must_ascend_within_the_depth(taps):
    with pytest.raises(ValueError, match='must ascend within 0 to 3'):
        resolve_arch(SIZES, taps)
