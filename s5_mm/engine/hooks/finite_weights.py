"""Find weights that are NaN or infinite."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from mmengine.dist import all_reduce
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor, nn


def model_tensors(runner: Runner) -> dict[str, Tensor]:
    """Collect what a checkpoint holds of the model and of averages that hooks keep.

    Args:
        runner: The runner.

    Returns:
        Parameters and persistent buffers by name.
    """
    return {
        prefix + name: tensor
        for prefix, network in _networks(runner).items()
        for name, tensor in network.state_dict().items()
    }


def infinite_buffers(runner: Runner) -> list[str]:
    """Name the buffers that are not finite by design, such as masks of infinities.

    Args:
        runner: The runner, before training.

    Returns:
        Names as in :func:`model_tensors`; running statistics are never among them.
    """
    tensors = model_tensors(runner)
    learned = {
        prefix + name
        for prefix, network in _networks(runner).items()
        for name, _ in network.named_parameters()
    }
    return non_finite_names(
        {
            name: tensor
            for name, tensor in tensors.items()
            if name not in learned
            and not name.endswith(('running_mean', 'running_var'))
        }
    )


def non_finite_names(tensors: Mapping[str, Tensor]) -> list[str]:
    """Name the tensors that hold a NaN or an infinity.

    Args:
        tensors: Tensors by name, on any devices.

    Returns:
        Names in the order of ``tensors``; where all are finite, in one transfer per
        device.
    """
    sums: defaultdict[torch.device, dict[str, Tensor]] = defaultdict(dict)
    for name, tensor in tensors.items():
        if tensor.is_floating_point() or tensor.is_complex():
            sums[tensor.device][name] = tensor.detach().sum().abs().float()
    # A sum is many times as fast as a look at every element, and hides no NaN or
    # infinity; but one of huge numbers may overflow.
    suspects = {
        name
        for some in sums.values()
        for name, total in zip(
            some, torch.stack(list(some.values())).tolist(), strict=True
        )
        if not math.isfinite(total)
    }
    return [
        name
        for name, tensor in tensors.items()
        if name in suspects and not tensor.isfinite().all()
    ]


def refuse_non_finite(runner: Runner, expected: Iterable[str] = ()) -> None:
    """Stop a run before its weights would replace better ones.

    Args:
        runner: The runner; every process has to call this.
        expected: Names of tensors that may be non-finite, see
            :func:`infinite_buffers`.

    Raises:
        FloatingPointError: The model of any process holds NaN or infinities; on all
            processes.
    """
    tensors = model_tensors(runner)
    for name in expected:
        tensors.pop(name, None)
    names = non_finite_names(tensors)
    found = torch.tensor(float(bool(names)))
    all_reduce(found, 'max')
    if found:
        which = f'{names[0]} for one' if names else 'on another process'
        raise FloatingPointError(
            f'{len(names)} of {len(tensors)} tensors of the model are not finite, '
            f'{which}; it is not saved. {last_sane(runner)}. Go on from it with a '
            'lower optim_wrapper.optimizer.lr, and with default_hooks.non_finite='
            "dict(type='s5_mm.NonFiniteHook'), which skips the updates that spoil "
            'weights'
        )


def last_sane(runner: Runner) -> str:
    """Return a sentence that names the last checkpoint of a run.

    Args:
        runner: The runner of the training process.

    Returns:
        The sentence, without its full stop.  :class:`s5_mm.AtomicCheckpointHook` saves
        finite weights alone, so the last checkpoint is a sane one.
    """
    path = runner.message_hub.runtime_info.get('last_ckpt')
    if path is None or not Path(path).exists():
        return 'No checkpoint was saved before'
    return f'The last sane checkpoint is kept: {path}'


def _networks(runner: Runner) -> dict[str, nn.Module]:
    """Collect the model and the averages that hooks keep, by a prefix of names."""
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    networks = {'': model}
    for hook in runner.hooks:
        if getattr(hook, 'ema_model', None) is not None:
            networks['ema.'] = hook.ema_model
    return networks
