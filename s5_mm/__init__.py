"""S5 for OpenMMLab: curation, semi-supervised pre-training, multi-dataset tuning.

Importing this package registers nothing by force: the registries in
:mod:`s5_mm.registry` find their modules when a config first asks for them.
"""

import os

# OpenMP reads it when torch, which mmengine imports, is loaded.  Threads that spin
# while they wait for each other are several times slower when other work runs.
os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')

from mmengine.config import utils as _config_utils  # noqa: E402

from .ops import provide_ops  # noqa: E402
from .shipped_configs import config_path  # noqa: E402
from .version import __version__  # noqa: E402

# mmengine refuses 's5_mm::...' for packages that this table does not name, and looks
# for mmseg's configs in a distribution called `mmsegmentation`, while the maintained
# one is called `onedl-mmsegmentation` (mmengine 0.10.12).  Bases are read before
# anything imports this file: another project's config uses `config_path` instead.
_config_utils.MODULE2PACKAGE.setdefault('s5_mm', 's5_mm')
_config_utils.MODULE2PACKAGE['mmseg'] = 'onedl-mmsegmentation'

provide_ops()

__all__ = ['__version__', 'config_path']
