"""One line of a config turns ``torch.compile`` on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn

from s5_mm.registry import HOOKS

_KEY = 'default_hooks.compile'


@HOOKS.register_module()
class CompileHook(Hook):
    """Compiles the networks and losses of the training step, in place.

    ``default_hooks = dict(compile=dict(type='s5_mm.CompileHook'))``.  What is compiled
    is what the model says (:class:`s5_mm.models.CompiledSteps`); prediction stays
    eager.  mmengine's ``compile=`` compiles the whole of ``train_step`` instead: of a
    toy FixMatch it makes 43 graphs in six iterations and goes on recompiling, against
    two here.

    Where the backend cannot compile a small function forwards and backwards, on any
    process, the run says so and trains eagerly on all of them.

    Args:
        backend: Of ``torch.compile``.
        mode: Of ``torch.compile``; None is its default.
        dynamic: Of ``torch.compile``.  False compiles anew for every size of a batch,
            which pays where there are one or two.

    Raises:
        ValueError: ``backend`` or ``mode`` is none of torch's.
    """

    def __init__(
        self,
        backend: str | Callable[..., Any] = 'inductor',
        mode: str | None = None,
        dynamic: bool | None = False,
    ) -> None:
        _check('backend', backend, torch._dynamo.list_backends(exclude_tags=()))
        modes = torch._inductor.list_mode_options()
        _check(
            'mode', mode, ['default', *(name for name in modes if name != 'default')]
        )
        if mode is not None and backend != 'inductor':
            raise ValueError(
                f"{_KEY}.mode={mode!r} is for backend='inductor', not {backend!r}"
            )
        self.options = dict(backend=backend, mode=mode, dynamic=dynamic)

    def before_train(self, runner: Runner) -> None:
        """Compile, once the model has its weights and its wrapper.

        Args:
            runner: The runner of the training process.

        Raises:
            TypeError: The model has nothing to compile.
            ValueError: mmengine's own option is on too.
        """
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        if not getattr(model, 'compiled_steps', ()):
            raise TypeError(
                f'{_KEY}: {type(model).__name__} has no compiled steps, FixMatch, '
                'SemiBaseSegmentor and MultiDatasetSegmentor of s5_mm have; set '
                f'{_KEY}=None'
            )
        if runner.cfg.get('compile'):
            raise ValueError(
                f'compile={runner.cfg.compile!r} and {_KEY} are both set: the first is '
                "mmengine's and compiles train_step as a whole; leave it out"
            )
        problem = _problem(model, self.options)
        failed = torch.tensor(float(problem is not None))
        all_reduce(failed)
        if not failed:
            model.compile_steps(**self.options)
            runner.logger.info(
                f'{_KEY}: {", ".join(model.compiled_steps)} of {type(model).__name__} '
                'are compiled when they are first called, which takes minutes'
            )
            return
        runner.logger.warning(
            f'{_KEY}: backend={self.options["backend"]!r} does not work '
            f'({problem or "on another process"}); training goes on without '
            "compilation. backend='inductor' needs Triton on a GPU and a C++ compiler "
            f'(g++, or the CXX variable) on a CPU; {_KEY}=None takes the hook out'
        )


def _check(key: str, value: Any, allowed: list[str]) -> None:
    """Refuse a name that torch does not know."""
    if isinstance(value, str) and value not in allowed:
        raise ValueError(f'{_KEY}.{key}={value!r} is unknown; allowed are {allowed}')


def _problem(model: nn.Module, options: dict[str, Any]) -> str | None:
    """Compile a small function where the model is, forwards and backwards.

    Args:
        model: The model.
        options: Arguments of ``torch.compile``.

    Returns:
        Why it does not work, None if it does.
    """
    device = next(model.parameters()).device
    probe = torch.compile(lambda x: (x * x).sum(), **options)
    try:
        probe(torch.ones(2, device=device, requires_grad=True)).backward()
    # A backend may raise anything: a missing compiler, a driver, an import.
    except Exception as error:
        # torch's first line names the backend, the second what went wrong in it.
        said = ' '.join(str(error).split('\n')[:2])
        return f'{type(error).__name__}: {said}'
    return None
