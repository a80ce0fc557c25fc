"""The batch size that a loader passes to its sampler."""

from __future__ import annotations

from typing import Any


def pass_batch_size(dataloader: Any) -> Any:
    """Tell a sampler that shares out a batch by a rule how many samples there are.

    Args:
        dataloader: Config of a loader, or a loader, which is returned as it is.

    Returns:
        The config; its sampler, if its ``shares`` are no list, has the loader's
        ``batch_size`` unless one is written there.
    """
    sampler = dataloader.get('sampler') if isinstance(dataloader, dict) else None
    if not isinstance(sampler, dict) or 'shares' not in sampler:
        return dataloader
    if isinstance(sampler['shares'], (list, tuple)):
        return dataloader
    sampler = {'batch_size': dataloader['batch_size'], **sampler}
    return {**dataloader, 'sampler': sampler}
