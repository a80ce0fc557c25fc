"""The hooks of s5_mm."""

from .absent_dataset_hook import AbsentDatasetHook
from .atomic_checkpoint_hook import AtomicCheckpointHook
from .bad_sample_hook import BadSampleHook, TooManyBadImagesError
from .box_panel_hook import BoxPanelHook
from .checkpoint_fit_hook import CheckpointFitHook
from .compile_hook import CompileHook
from .data_wait_timer_hook import DataWaitTimerHook
from .dataset_check_hook import DatasetCheckHook
from .deferred_runtime_info_hook import DeferredRuntimeInfoHook
from .eval_progress_hook import EvalProgressHook
from .iteration_seed_hook import IterationSeedHook
from .non_finite_hook import NonFiniteHook
from .preemption_hook import PreemptionHook
from .pseudo_label_stats_hook import PseudoLabelStatsHook
from .pseudo_label_vis_hook import PseudoLabelVisHook
from .seg_panel_hook import SegPanelHook
from .train_progress_hook import TrainProgressHook

__all__ = [
    'AbsentDatasetHook',
    'AtomicCheckpointHook',
    'BadSampleHook',
    'BoxPanelHook',
    'CheckpointFitHook',
    'CompileHook',
    'DataWaitTimerHook',
    'DatasetCheckHook',
    'DeferredRuntimeInfoHook',
    'EvalProgressHook',
    'IterationSeedHook',
    'NonFiniteHook',
    'PreemptionHook',
    'TooManyBadImagesError',
    'PseudoLabelStatsHook',
    'PseudoLabelVisHook',
    'SegPanelHook',
    'TrainProgressHook',
]
