"""Errors of the hosts that say too little, and what they mean for the user."""

from __future__ import annotations

import re
from typing import NamedTuple


class _Known(NamedTuple):
    """An error of another package.

    Attributes:
        pattern: Of its kind and message, ``Kind: message``.
        text: What to say; may use the groups of the pattern.
        refused: Whether the user can mend it.
    """

    pattern: str
    text: str
    refused: bool


_SMALLER = 'take a smaller train_dataloader.batch_size or smaller crops'
_KNOWN = (
    _Known(
        r'CUDA out of memory',
        f'the memory of the GPU is full; {_SMALLER}',
        False,
    ),
    _Known(
        r"^MemoryError|can't allocate memory|Unable to allocate (?P<size>[\d.]+ \w+)",
        f'the memory of this machine is full; {_SMALLER}, or fewer workers',
        False,
    ),
    _Known(
        r'DataLoader worker \(pid.*(?:killed by signal|exited unexpectedly)',
        'a worker of the data loader was killed, for lack of memory most often; take '
        'fewer workers (train_dataloader.num_workers)',
        False,
    ),
    _Known(
        r'^BrokenProcessPool',
        'a process was killed, for lack of memory most often; start again with fewer '
        '--jobs',
        False,
    ),
    _Known(
        r'Found no NVIDIA driver|not compiled with CUDA|No CUDA GPUs are available'
        r'|no CUDA-capable device|Cannot access accelerator device',
        'there is no GPU that torch can use here (tools/misc/check_env.py says why); '
        'run on the CPU: --device cpu',
        True,
    ),
    _Known(
        r'invalid device ordinal|CUDA error: invalid device',
        'this machine has no GPU of that number; nvidia-smi lists them',
        True,
    ),
    _Known(
        r'Expected one of .* device type at start of device string: (?P<name>\w*)'
        r"|Invalid device string: '(?P<other>[^']*)'",
        'there is no device {name}{other}, expected cpu, cuda or cuda:0',
        True,
    ),
    _Known(
        r'EADDRINUSE|[Aa]ddress already in use',
        'the port of the processes is taken by another run; choose another one: '
        'PORT=29501 for dist_train.sh, MASTER_PORT=29501 for slurm_train.sh',
        True,
    ),
    _Known(
        r'Expected more than 1 value per channel when training, got input size '
        r'(?P<n>.*)',
        'batch normalisation needs more than one value per channel, found a batch of '
        'size {n}; take at least 2 labelled images per process '
        '(train_dataloader.batch_size), or a norm_cfg that does not need them',
        True,
    ),
    _Known(
        r'^IndexError: Target (?P<label>-?\d+) is out of bounds',
        'a mask has the class {label}, which the decode head lacks; its num_classes '
        'must be the number of classes of the data set '
        '(tools/misc/verify_dataset.py CONFIG shows the masks)',
        True,
    ),
    _Known(
        r'batch_size should be a positive integer value, but got batch_size=(?P<n>\S+)',
        'the batch_size of a dataloader is {n}, expected at least 1',
        True,
    ),
    _Known(
        r'(?P<name>persistent_workers|prefetch_factor) option '
        r'(?:needs|could only be specified)',
        'the num_workers of a dataloader is 0, where {name} has no place; set {name} '
        'of the same dataloader to False or None, or num_workers to 1',
        True,
    ),
    _Known(
        r'num_workers option should be non-negative|expected non-negative integer for '
        r'num_workers',
        'the num_workers of a dataloader is negative, expected 0 or more',
        True,
    ),
    _Known(
        # What inspect makes of the class that mmengine has not found (0.10.12).
        r'^TypeError: None is not a callable object',
        'optim_wrapper.optimizer.type: there is no such optimizer; take one of '
        'torch.optim, e.g. AdamW or SGD',
        True,
    ),
    _Known(
        r'^(?:URLError|HTTPError): (?:<urlopen error )?(?P<why>[^>]*)',
        'the address of a checkpoint cannot be read ({why}); is it right, and is this '
        'machine online? Or download the file and give its path',
        True,
    ),
    _Known(
        r'^ImportError: (?P<why>.*mmcv/_ext.*)',
        'the compiled operators of mmcv do not load ({why}); compile them for this '
        'torch: make ops',
        True,
    ),
    _Known(
        r"^ModuleNotFoundError: No module named '(?P<name>[^']+)'",
        'the package {name!r} is not installed; tools/misc/check_env.py says how to '
        'get what is missing',
        True,
    ),
    _Known(
        r'Failed to import custom modules from (?P<what>.*?), the current sys\.path',
        'custom_imports: {what} cannot be imported; is its folder in PYTHONPATH?',
        True,
    ),
)


def known_error(kind: str, text: str) -> tuple[str, bool] | None:
    """Look up an error of another package.

    Args:
        kind: Name of its class.
        text: Its message, in one line.

    Returns:
        What it means, and whether the user can mend it; None if it is not known.
    """
    for entry in _KNOWN:
        found = re.search(entry.pattern, f'{kind}: {text}')
        if found:
            groups = {key: value or '' for key, value in found.groupdict().items()}
            return entry.text.format(**groups), entry.refused
    return None
