"""Compile the tensor parts of a model's training step in place."""

from __future__ import annotations

from types import MethodType
from typing import Any

import torch


class CompiledSteps:
    """Mixin of a model whose training step has parts that ``torch.compile`` takes.

    mmengine's own option, ``compile=`` of the runner, compiles ``train_step``: data
    samples, augmentation with generators of its own, the optimizer and the losses'
    bookkeeping in one, which breaks the graph at each of them.  The methods named here
    take tensors and give tensors, and everything else stays eager.

    They are replaced on the instance, no module is wrapped: names of parameters,
    checkpoints, the EMA teacher, DDP around the model and prediction do not know about
    it, and a deep copy of the model computes with its own parameters.

    Attributes:
        compiled_steps: Names of the methods.
    """

    compiled_steps: tuple[str, ...] = ()

    def compile_steps(self, **options: Any) -> None:
        """Compile the methods; what they are given is compiled when first called.

        Args:
            **options: Arguments of ``torch.compile``.
        """
        for name in self.compiled_steps:
            function = torch.compile(getattr(type(self), name), **options)
            setattr(self, name, MethodType(function, self))
