"""The table of packages and their floors agree with the requirement files."""

from pathlib import Path

import pytest
from packaging.requirements import Requirement

from env_pieces import PIECES, floors, release

FOLDER = Path(__file__).resolve().parents[2] / 'requirements'


def read(name):
    """Lowest version by distribution, as packaging reads a requirement file."""
    lines = (FOLDER / f'{name}.txt').read_text().splitlines()
    parsed = [Requirement(t) for line in lines if (t := line.partition('#')[0].strip())]
    return {r.name.lower(): next(iter(r.specifier)).version for r in parsed}


@pytest.mark.parametrize('name', ['runtime', 'det', 'curation', 'geo'])
def test_floors_are_those_of_the_requirement_files(name):
    listed = read(name)
    assert listed
    assert listed.items() <= floors().items()


def test_every_package_but_ours_has_a_floor():
    lacking = {piece.distribution for piece in PIECES} - set(floors())
    assert lacking == {'s5_mm'}


def test_release_is_compared_as_numbers():
    assert release('1.4.0.post1+cpu') == (1, 4, 0)
    assert release('2.10') > release('2.9.1')
    assert release('unknown') == ()
