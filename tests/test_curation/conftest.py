"""One real run, and one set of shards, for all tests in a process."""

from pathlib import Path

import pytest

from s5_mm.curation.shards.write_shards import write_shards

from .report_world import make_world
from .shard_world import OPTIONS, World


@pytest.fixture(scope='session')
def report_world(tmp_path_factory):
    """Config of a run that is finished up to its report, in ``run`` next to it."""
    return make_world(tmp_path_factory.mktemp('report'))


@pytest.fixture(scope='session')
def world(tmp_path_factory) -> World:
    """Images of two collections and a manifest of some of their crops."""
    return World(tmp_path_factory.mktemp('world'))


@pytest.fixture(scope='session')
def made(world, tmp_path_factory) -> Path:
    """Their shards, to be read only."""
    folder = tmp_path_factory.mktemp('made') / 'shards'
    write_shards(world.manifest, world.roots, folder, OPTIONS)
    return folder
