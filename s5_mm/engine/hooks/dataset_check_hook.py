"""Model and data speak of the same data sets and classes."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import DataLoader

from s5_mm.registry import HOOKS


@HOOKS.register_module()
class DatasetCheckHook(Hook):
    """Compares the heads of a model with the classes of the data, before a run.

    A head with fewer classes than the data fails in the middle of the loss, one with
    more trains without a word.  Works for models with one head and with one for each
    data set.
    """

    def before_train(self, runner: Runner) -> None:
        """Check the training data.

        Args:
            runner: The runner of the training process.
        """
        self._check(runner, runner.train_dataloader, 'train_dataloader')

    def before_val(self, runner: Runner) -> None:
        """Check the validation data."""
        self._check(runner, runner.val_dataloader, 'val_dataloader')

    def before_test(self, runner: Runner) -> None:
        """Check the test data."""
        self._check(runner, runner.test_dataloader, 'test_dataloader')

    def _check(self, runner: Runner, loader: DataLoader, where: str) -> None:
        """Compare one loader with the model.

        Raises:
            ValueError: A data set that the model does not know, or whose number of
                classes is not that of its head.
        """
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        heads, single_setting = _heads(model)
        metainfo = getattr(loader.dataset, 'metainfo', None) or {}
        infos = metainfo.get('datasets')
        if infos is None and metainfo.get('classes'):
            # A model of one data set takes samples without a name as its own.
            own = list(heads) if isinstance(heads, dict) else []
            infos = {own[0] if len(own) == 1 else '': metainfo}
        if not infos or not isinstance(heads, (dict, int)):
            return
        if isinstance(heads, dict):
            unknown = [name for name in infos if name and name not in heads]
            if unknown:
                raise ValueError(
                    f'{where} has the data set(s) {unknown}, the model has '
                    f'{list(heads)} (model.datasets)'
                )
        for name, info in infos.items():
            classes = tuple(info['classes'])
            if isinstance(heads, int):
                count, setting = heads, single_setting
            elif name:
                count, setting = heads[name], f'model.datasets.{name}.num_classes'
            else:
                continue
            if len(classes) != count:
                raise ValueError(
                    f'{where}: {name or "the data set"} has {len(classes)} classes '
                    f'{classes}, its head {count} ({setting})'
                )


def _heads(model: nn.Module) -> tuple[dict[str, int] | int | None, str]:
    """Find the numbers of classes of a model, and the setting of a single head."""
    for setting, path in (
        ('model.decode_head.num_classes', ('num_classes',)),  # ours, mmseg's
        ('model.roi_head.bbox_head.num_classes', ('roi_head', 'bbox_head')),
        ('model.bbox_head.num_classes', ('bbox_head',)),
    ):
        if hasattr(model, 'student'):
            setting = setting.replace('model.', 'model.segmentor.', 1)
        found: Any = model
        for name in path:
            found = getattr(found, name, None)
        if isinstance(found, nn.ModuleList):  # the stages of a cascade
            found = found[-1]
        found = getattr(found, 'num_classes', found)
        if isinstance(found, (dict, int)):
            return found, setting
    return None, ''
