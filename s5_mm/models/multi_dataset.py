"""What models of several data sets share, whatever the task: routing and DDP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Generic

import torch
from mmengine.dist import get_world_size
from mmengine.logging import MessageHub
from mmengine.model import BaseModel
from torch import Tensor, nn

from s5_mm.registry import MODELS
from s5_mm.utils.routing import DatasetSlice, contiguous_slices, dataset_names

from .dataset_settings import Settings, read_settings


class MultiDatasetModel(BaseModel, Generic[Settings]):
    """Mixin of a model with a shared backbone and a part for each data set.

    A batch mixes data sets, contiguous by data set; what a sample's ``dataset_name``
    says picks expert and part.  A batch without a data set leaves its expert and its
    part untouched.  Under DDP the set of data sets must be the same on all processes
    in every iteration, as :class:`s5_mm.MultiSourceSampler` makes it, and
    :class:`s5_mm.AbsentDatasetHook` keeps the optimizer from what was absent.

    Attributes:
        part_prefix: Name of the module that holds the parts by data set.
        plain_prefix: What precedes the names of a part in the plain model.
        settings: Of each data set.
        backbone: The shared backbone.
        trained_datasets: Data sets that had samples since the optimizer's last step.
    """

    part_prefix: str
    plain_prefix = ''

    def build_backbone(
        self,
        backbone: Mapping[str, Any],
        datasets: Mapping[str, dict] | Sequence[dict],
        kind: type[Settings],
        init_cfg: Mapping[str, Any] | None,
    ) -> None:
        """Read the settings and build the backbone.

        Args:
            backbone: Config of the backbone.  A ``s5_mm.ViTMoE`` without ``datasets``
                gets those of this model.
            datasets: Settings of the data sets, see :func:`read_settings`.
            kind: The task's settings.
            init_cfg: Of the whole model; not allowed.

        Raises:
            ValueError: A setting is unknown or out of its range, the backbone has no
                expert for a data set, or there is an ``init_cfg``.
        """
        owner = type(self).__name__
        if init_cfg is not None:
            raise ValueError(
                f'{owner} takes no init_cfg ({init_cfg}): put it into backbone, or '
                'start from a checkpoint with load_from'
            )
        self.settings: dict[str, Settings] = read_settings(datasets, kind, owner)
        backbone = dict(backbone)
        if backbone.get('type') == 's5_mm.ViTMoE':
            backbone.setdefault('datasets', list(self.settings))
        self.backbone: nn.Module = MODELS.build(backbone)
        experts = getattr(self.backbone, 'datasets', None)
        missing = [name for name in self.settings if name not in (experts or ())]
        if experts is not None and missing:
            raise ValueError(
                f'backbone.datasets={list(experts)} has no expert for {missing}; leave '
                'it out to get one for every data set of the model'
            )
        self.trained_datasets: set[str] = set()

    @property
    def datasets(self) -> tuple[str, ...]:
        """Names of the data sets."""
        return tuple(self.settings)

    def dataset_parameters(self, name: str) -> list[nn.Parameter]:
        """Parameters that only samples of one data set train: its part and experts."""
        part, expert = f'{self.part_prefix}.{name}.', f'.experts.{name}.'
        return [
            parameter
            for key, parameter in self.named_parameters()
            if key.startswith(part) or expert in key
        ]

    def started(
        self, inputs: Tensor, samples: Sequence[Any]
    ) -> tuple[Tensor, Sequence[Any], tuple[DatasetSlice, ...]]:
        """Leave out the samples of data sets whose ``start_iter`` is to come.

        Args:
            inputs: Images, contiguous by data set, (N, C, H, W).
            samples: N samples with ``dataset_name``.

        Returns:
            Images and samples that take part in this iteration, and their slices.

        Raises:
            RoutingError: A sample's data set is unknown, or they are not contiguous.
            ValueError: No data set of the batch takes part.
        """
        slices = contiguous_slices(dataset_names(samples, self.datasets))
        iteration = MessageHub.get_current_instance().get_info('iter', 0)
        waiting = {
            name for name, own in self.settings.items() if iteration < own.start_iter
        }
        if not waiting:
            return inputs, samples, slices
        kept = [part for part in slices if part.name not in waiting]
        if not kept:
            raise ValueError(
                f'iteration {iteration}: none of the data sets of the batch, '
                f'{[part.name for part in slices]}, has reached its start_iter'
            )
        inputs = torch.cat([inputs[part.start : part.stop] for part in kept])
        samples = [
            sample for part in kept for sample in samples[part.start : part.stop]
        ]
        return inputs, samples, contiguous_slices(dataset_names(samples, self.datasets))

    def extract_feat(
        self, inputs: Tensor, slices: Sequence[DatasetSlice] | None = None
    ) -> Sequence[Tensor]:
        """Extract features of the shared backbone.

        The mixin stands before the host's base class in a model's bases, so this is
        what fills in the host's abstract method.

        Args:
            inputs: Images, contiguous by data set, (N, C, H, W).
            slices: Which samples are whose; a backbone without experts ignores it.

        Returns:
            Maps of all samples, one of each level, (N, D, h, w).
        """
        return self.backbone(inputs, slices=slices)

    def connect_absent(self, losses: dict[str, Tensor], present: set[str]) -> None:
        """Note who trains, and give DDP the gradient that it waits for.

        DDP without ``find_unused_parameters`` needs every parameter in the graph. An
        empty slice gives a zero gradient without reading the values.

        Args:
            losses: The losses; one of them is changed in place.
            present: Data sets with samples in this batch.
        """
        self.trained_datasets |= present
        if get_world_size() == 1:
            return
        key = next(key for key in losses if 'loss' in key)
        for name in self.datasets:
            if name not in present:
                for parameter in self.dataset_parameters(name):
                    losses[key] = losses[key] + parameter.flatten()[:0].sum()
