"""Origins by name, the rules that are shipped, and every error of a rule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config

from s5_mm.curation.overlap.provenance import Origin, Provenance

RULES = Path(__file__).parents[2] / 'configs/_base_/curation/provenance.py'


def shipped(**splits: dict[str, list[str]]) -> Provenance:
    """The rules of the configs with protected images."""
    return Provenance(Config.fromfile(RULES).provenance, splits)


@pytest.mark.parametrize(
    ('collection', 'path', 'expected'),
    [
        ('samrs_sior', 'images/11726.jpg', [('dior_r', 'test', '11726')]),
        ('samrs_sior', '11726_0_512.png', [('dior_r', 'test', '11726')]),
        ('samrs_sior', 'images/00001.jpg', []),
        ('samrs_sota', 'P0003__1024__0___824.png', [('isaid', 'val', 'P0003')]),
        ('isaid', 'train/P0003_0_896_0_896.png', [('isaid', 'val', 'P0003')]),
        ('samrs_sota', 'P00031.png', []),
        ('million_aid', '11726.jpg', []),
    ],
)
def test_shipped_rules(collection: str, path: str, expected: list) -> None:
    provenance = shipped(dior_r={'test': ['11726']}, isaid={'val': ['P0003']})
    assert provenance.origins(collection, path) == [Origin(*e) for e in expected]


def test_an_image_of_several_benchmarks_and_splits() -> None:
    provenance = shipped(
        isaid={'val': ['P1', 'P0003']}, dota_v1={'val': ['P0003'], 'all': ['P0003']}
    )
    assert provenance.origins('samrs_sota', 'P0003.png') == [
        Origin('dota_v1', 'all', 'P0003'),
        Origin('dota_v1', 'val', 'P0003'),
        Origin('isaid', 'val', 'P0003'),
    ]


def test_the_path_and_templates_of_groups() -> None:
    rule = dict(
        collection='cities_?',
        pattern=r'(\w+)/tile_(?P<n>\d+)\.tif',
        image=r'\1-\g<n>',
        benchmarks=['towns'],
        on='path',
    )
    provenance = Provenance([rule], {'towns': {'test': ['bonn-7']}})
    assert provenance.origins('cities_a', 'bonn/tile_7.tif') == [
        Origin('towns', 'test', 'bonn-7')
    ]
    assert not provenance.origins('cities_a', 'x/bonn/tile_7.tif')
    assert not provenance.origins('cities_10', 'bonn/tile_7.tif')


def test_a_benchmark_may_list_patches() -> None:
    provenance = shipped(isaid={'val': ['P0003_0_896_0_896', 'P0003_0_896_512_1408']})
    assert provenance.origins('samrs_sota', 'P0003__1024__0___0.png') == [
        Origin('isaid', 'val', 'P0003')
    ]
    # A rule of another collection does not read the names of the benchmark.
    rule = dict(
        collection='other', pattern='(P.)_.*', image=r'\1', benchmarks=['bench']
    )
    provenance = Provenance([rule], {'bench': {'val': ['P1_a', 'P2']}})
    assert not provenance.origins('other', 'P1_b.png')
    assert provenance.origins('other', 'P2_b.png') == [Origin('bench', 'val', 'P2')]


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'benchmark': ['b']}, r"provenance\[0\]: unknown keys \['benchmark'\]"),
        ({'pattern': None}, r"provenance\[0\]: no \['pattern'\]; allowed are"),
        ({'on': 'name'}, r"'c': on='name', allowed are 'stem' and 'path'"),
        ({'benchmarks': 'b'}, "benchmarks='b', expected a list of names"),
        ({'benchmarks': []}, r'benchmarks=\[\], expected a list of names'),
        ({'pattern': '(x'}, r"pattern='\(x' is no regular expression"),
        ({'image': r'\g<id>'}, r"image='.*id>' does not go with pattern='x'"),
        ({'image': r'\2'}, r"image='.*2' does not go with pattern='x'"),
    ],
)
def test_errors_name_rule_and_value(changes: dict[str, Any], message: str) -> None:
    rule = {'collection': 'c', 'pattern': 'x', 'benchmarks': ['b'], **changes}
    rule = {key: value for key, value in rule.items() if value is not None}
    with pytest.raises(ValueError, match=message):
        Provenance([rule], {})
