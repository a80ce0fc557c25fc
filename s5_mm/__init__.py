"""S5 for OpenMMLab: curation, semi-supervised pre-training, multi-dataset tuning.

Importing this package registers nothing by force: the registries in
:mod:`s5_mm.registry` find their modules when a config first asks for them.
"""

from mmengine.config import utils as _config_utils

from .shipped_configs import config_path
from .version import __version__

# mmengine refuses 's5_mm::...' for packages that this table does not name, and looks
# for mmseg's configs in a distribution called `mmsegmentation`, while the maintained
# one is called `onedl-mmsegmentation` (mmengine 0.10.12).  Bases are read before
# anything imports this file: another project's config uses `config_path` instead.
_config_utils.MODULE2PACKAGE.setdefault('s5_mm', 's5_mm')
_config_utils.MODULE2PACKAGE['mmseg'] = 'onedl-mmsegmentation'

__all__ = ['__version__', 'config_path']
