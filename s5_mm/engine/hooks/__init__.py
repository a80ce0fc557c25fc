"""The hooks of s5_mm."""

from .atomic_checkpoint_hook import AtomicCheckpointHook
from .bad_sample_hook import BadSampleHook, TooManyBadImagesError
from .checkpoint_fit_hook import CheckpointFitHook
from .deferred_runtime_info_hook import DeferredRuntimeInfoHook
from .iteration_seed_hook import IterationSeedHook
from .preemption_hook import PreemptionHook
from .pseudo_label_stats_hook import PseudoLabelStatsHook
from .pseudo_label_vis_hook import PseudoLabelVisHook

__all__ = [
    'AtomicCheckpointHook',
    'BadSampleHook',
    'CheckpointFitHook',
    'DeferredRuntimeInfoHook',
    'IterationSeedHook',
    'PreemptionHook',
    'TooManyBadImagesError',
    'PseudoLabelStatsHook',
    'PseudoLabelVisHook',
]
