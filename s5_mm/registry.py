"""Child registries of mmengine's, scope ``s5_mm``.

Every registry knows the modules that fill it (``locations``), so
``type='s5_mm.ViT'`` resolves in any OpenMMLab project without
``custom_imports``, whatever its ``default_scope``.  What only one task needs is
imported when it is asked for, so that segmentation never imports mmdet and mmrotate,
nor detection mmseg.
"""

from __future__ import annotations

from importlib import import_module

from mmengine import registry as _root
from mmengine.registry import Registry


class LateRegistry(Registry):
    """A registry that also knows what its locations import late (``LATE``)."""

    def get(self, key: str) -> type | None:
        """Find what a name stands for.

        Args:
            key: Name, with or without a scope.

        Returns:
            What is registered under it, None if nothing is.
        """
        if isinstance(key, str):
            scope, name = self.split_scope_key(key)
            if scope in (None, self.scope):
                self._import_late(name)
        return super().get(key)

    def _import_late(self, name: str) -> None:
        """Import the module that defines a name."""
        for location in self._locations:
            late = getattr(import_module(location), 'LATE', {})
            if name in late:
                import_module(late[name])


def _child(parent: Registry, *locations: str) -> Registry:
    """Make the ``s5_mm`` child of a root registry.

    Args:
        parent: Registry of mmengine that the child falls back to.
        *locations: Modules, relative to ``s5_mm``, whose import fills the child.

    Returns:
        The child registry, named like its parent.
    """
    return LateRegistry(
        parent.name,
        parent=parent,
        scope='s5_mm',
        locations=[f's5_mm.{location}' for location in locations],
    )


MODELS = _child(_root.MODELS, 'models', 'curation.scoring')
TASK_UTILS = _child(_root.TASK_UTILS, 'models')
DATASETS = _child(_root.DATASETS, 'datasets', 'curation.scoring')
DATA_SAMPLERS = _child(_root.DATA_SAMPLERS, 'datasets.samplers')
TRANSFORMS = _child(_root.TRANSFORMS, 'datasets.transforms')
FUNCTIONS = _child(_root.FUNCTIONS, 'datasets')
HOOKS = _child(_root.HOOKS, 'engine.hooks', 'curation.scoring')
LOOPS = _child(_root.LOOPS, 'engine.loops')
OPTIM_WRAPPERS = _child(_root.OPTIM_WRAPPERS, 'engine.optimizers')
OPTIM_WRAPPER_CONSTRUCTORS = _child(
    _root.OPTIM_WRAPPER_CONSTRUCTORS, 'engine.optimizers'
)
METRICS = _child(_root.METRICS, 'evaluation')
EVALUATOR = _child(_root.EVALUATOR, 'evaluation')
VISUALIZERS = _child(_root.VISUALIZERS, 'visualization')

__all__ = [
    'DATASETS',
    'DATA_SAMPLERS',
    'EVALUATOR',
    'FUNCTIONS',
    'HOOKS',
    'LOOPS',
    'METRICS',
    'MODELS',
    'OPTIM_WRAPPERS',
    'OPTIM_WRAPPER_CONSTRUCTORS',
    'TASK_UTILS',
    'TRANSFORMS',
    'VISUALIZERS',
]
