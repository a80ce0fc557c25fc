"""One real run for all tests of the report in a process."""

import pytest

from .report_world import make_world


@pytest.fixture(scope='session')
def report_world(tmp_path_factory):
    """Config of a run that is finished up to its report, in ``run`` next to it."""
    return make_world(tmp_path_factory.mktemp('report'))
