"""Models without memory, to count what they consist of."""

from __future__ import annotations

import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import MODELS, init_default_scope
from torch import nn


def build_on_meta(config: Config) -> BaseModel:
    """Build the inference model of a config on torch's meta device.

    Nothing is allocated or computed, so ViT-H takes seconds on a laptop.

    Args:
        config: A config with ``model``; of a semi-supervised wrapper the student.

    Returns:
        The model in eval mode.
    """
    init_default_scope(config.get('default_scope', 'mmseg'))
    with torch.device('meta'):
        model = MODELS.build(config.model)
    return getattr(model, 'student', model).eval()


def count_params(*modules: nn.Module) -> int:
    """Count the parameters of modules, each one once.

    Args:
        *modules: The modules; one may contain another.

    Returns:
        Number of their numbers.
    """
    params = {id(p): p for module in modules for p in module.parameters()}
    return sum(param.numel() for param in params.values())
