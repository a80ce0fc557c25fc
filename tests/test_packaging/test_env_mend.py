"""The lines that mend a package."""

from env_mend import mend_line
from env_pieces import PIECES

PIECE = {piece.module: piece for piece in PIECES}


def test_missing_torch_takes_the_whole_lock(versions):
    del versions['torch']
    line = mend_line(PIECE['torch'], '', None)
    assert line.endswith('requirements/constraints.txt torch torchvision')


def test_torchvision_beside_cpu_torch(versions):
    error = 'OSError: libcudart.so: cannot open'
    line = mend_line(PIECE['torchvision'], error, '2.13.0+cpu')
    assert '--index-url https://download.pytorch.org/whl/cpu' in line


def test_package_that_does_not_import_is_installed_over_itself(versions):
    line = mend_line(PIECE['pyarrow'], 'ImportError: x', '2.15.0')
    assert line.endswith('--force-reinstall --no-deps pyarrow')
