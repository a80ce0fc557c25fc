import pytest

from .toy_s4p import write_scenes


@pytest.fixture(scope='session')
def scenes(tmp_path_factory):
    """Folder with the scenes of the toy run."""
    root = tmp_path_factory.mktemp('scenes')
    write_scenes(root)
    return root
