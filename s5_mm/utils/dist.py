"""Process groups on machines without a GPU."""

from __future__ import annotations

import torch
import torch.distributed as dist
from mmengine.config import Config


def init_cpu_processes(cfg: Config) -> None:
    """Open the process group of a CPU run; do nothing where there is a GPU.

    mmengine selects a CUDA device before it opens the group, whatever the backend
    (0.10.12), so ``torchrun`` on a laptop fails in it.  A group that is already
    there is left alone.

    Args:
        cfg: Config with ``launcher``; ``env_cfg.dist_cfg.backend`` becomes 'gloo'.
    """
    if cfg.launcher != 'pytorch' or torch.cuda.is_available():
        return
    cfg.env_cfg.dist_cfg.backend = 'gloo'
    if not dist.is_initialized():
        dist.init_process_group('gloo')
