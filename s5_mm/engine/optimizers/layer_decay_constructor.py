"""Learning rates that fall from the head to the first layer of the backbone."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, NamedTuple

from mmengine.logging import MMLogger, print_log
from mmengine.optim import BaseOptimWrapper, DefaultOptimWrapperConstructor
from torch import nn

from s5_mm.registry import OPTIM_WRAPPER_CONSTRUCTORS
from s5_mm.utils.argument_checks import check_number

_HOST_KEYS = frozenset(
    {
        'bias_decay_mult',
        'bias_lr_mult',
        'bypass_duplicate',
        'custom_keys',
        'dcn_offset_lr_mult',
        'dwconv_decay_mult',
        'flat_decay_mult',
        'norm_decay_mult',
    }
)


class _Rule(NamedTuple):
    """What a backbone says about one of its parameters."""

    scale: float
    no_decay: bool


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class LayerDecayOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """mmengine's default constructor with layer-wise learning rates.

    A parameter at depth d of a backbone with D depths gets the learning rate
    ``lr * rate ** (D - 1 - d)``: the embeddings (d = 0) the smallest, the feature
    pyramid (d = D - 1) and everything outside of the backbone ``lr`` itself (BEiT,
    MAE).  Backbones are the modules with ``get_layer_depth(name, prefix)``, wherever
    they are (``student.``, ``module.``, ...); what is frozen is left out.

    The hosts have this in part: mmengine's default constructor takes
    ``layer_decay_rate`` and ignores it, so the release trains with one rate;
    mmseg's knows three class names, parameters called ``backbone.*`` and a number of
    layers that has to be given, ignores ``custom_keys``, and decays ``pos_embed``.

    Factors multiply: ``lr_mult`` of a custom key comes on top of the depth's.  An
    ``lr`` in a custom key is taken as it stands.  What the backbone's
    ``no_weight_decay()`` names has no weight decay, unless a custom key gives it
    ``decay_mult`` or ``weight_decay``.  Parameters with equal settings share a group,
    15 for ViT-B instead of 155 (of ViT-T's 77 tensors, a step of fused AdamW on one CPU
    core takes 2.2 ms in 15 groups and 3.0 in 77).  Groups with ``lr`` come first, as
    the first one is what is logged, the others in the order of the model.

    Args:
        optim_wrapper_cfg: Config of the optimizer wrapper; ``optimizer`` needs ``lr``.
        paramwise_cfg: ``layer_decay_rate``, in (0, 1], and any key of mmengine's
            :class:`~mmengine.optim.DefaultOptimWrapperConstructor`.

    Raises:
        ValueError: A key is unknown, the rate or ``lr`` is missing or out of range; on
            calling: no module has ``get_layer_depth``, a custom key matches no
            parameter or has a field the optimizer does not know, a parameter is in
            the model twice without ``bypass_duplicate``, or all are frozen.
    """

    def _validate_cfg(self) -> None:
        """Refuse what would be ignored."""
        super()._validate_cfg()
        unknown = sorted(set(self.paramwise_cfg) - _HOST_KEYS - {'layer_decay_rate'})
        if unknown:
            raise ValueError(
                f'paramwise_cfg has unknown keys {unknown}; allowed are '
                f'{sorted(_HOST_KEYS | {"layer_decay_rate"})}'
            )
        rate = self.paramwise_cfg.get('layer_decay_rate')
        check_number('paramwise_cfg.layer_decay_rate', rate, above=0, most=1)
        if self.base_lr is None:
            raise ValueError(
                'optim_wrapper.optimizer has no lr, which layer_decay_rate multiplies'
            )

    def __call__(self, model: nn.Module) -> BaseOptimWrapper:
        """Build the optimizer wrapper.

        Args:
            model: The model, or a wrapper of it with the attribute ``module``.

        Returns:
            The wrapper around an optimizer of all parameters that require grad.
        """
        wrapper = super().__call__(model)
        known = {'params', 'initial_lr', *wrapper.optimizer.defaults}
        for group in wrapper.optimizer.param_groups:
            if foreign := sorted(group.keys() - known):
                raise ValueError(
                    f'paramwise_cfg.custom_keys has fields {foreign}, which neither '
                    f'mmengine nor {type(wrapper.optimizer).__name__} knows; allowed '
                    f'are lr_mult, decay_mult and {sorted(known - {"params"})}'
                )
        return wrapper

    def add_params(
        self,
        params: list[dict[str, Any]],
        module: nn.Module,
        prefix: str = '',
        is_dcn_module: int | float | None = None,
    ) -> None:
        """Add the parameters of a module; of the whole model as merged groups.

        Args:
            params: Groups of the optimizer, changed in place.
            module: The module.
            prefix: Its name in the model, '' for the model itself.
            is_dcn_module: Whether it is inside of a deformable convolution.
        """
        # An EMA teacher is passed over as a whole, not with a warning a parameter.
        if any(param.requires_grad for param in module.parameters()):
            with nullcontext() if prefix else _quiet():
                super().add_params(params, module, prefix, is_dcn_module)
        if not prefix:
            params[:] = self._merge(params, module)

    def _merge(
        self, singles: list[dict[str, Any]], model: nn.Module
    ) -> list[dict[str, Any]]:
        """Scale the host's groups of one parameter each, and merge equal ones."""
        names = {id(param): name for name, param in model.named_parameters()}
        self._check_custom_keys(model)
        rules = self._rules(model)
        groups: dict[str, dict[str, Any]] = {}
        seen: set[int] = set()
        for single in singles:
            (param,) = single['params']
            name = names[id(param)]
            if id(param) in seen:
                raise ValueError(
                    f'the parameter {name} has several names in the model; '
                    'paramwise_cfg.bypass_duplicate=True counts it once'
                )
            seen.add(id(param))
            settings = self._settings(single, name, rules.get(id(param)))
            group = groups.setdefault(repr(sorted(settings.items())), settings)
            group.setdefault('params', []).append(param)
        if not groups:
            raise ValueError(f'{type(model).__name__}: no parameter requires grad')
        merged = sorted(groups.values(), key=lambda group: group['lr'] != self.base_lr)
        for group in merged:
            print_log(
                f'lr {group["lr"]:.4g}, weight decay '
                f'{group.get("weight_decay", self.base_wd)}: {len(group["params"])} '
                f'tensors, {sum(p.numel() for p in group["params"])} parameters',
                logger='current',
            )
        if frozen := sum(not param.requires_grad for param in model.parameters()):
            print_log(f'left out as frozen: {frozen} tensors', logger='current')
        return merged

    def _settings(
        self, single: dict[str, Any], name: str, rule: _Rule | None
    ) -> dict[str, Any]:
        """Give the settings of the group that a parameter belongs to."""
        own = {
            key: value
            for key, value in single.items()
            if key not in ('params', 'lr_mult', 'decay_mult')
        }
        custom = self._custom(name)
        own.setdefault('lr', self.base_lr)
        if self.base_wd is not None:
            own.setdefault('weight_decay', self.base_wd)
        if rule is None:
            return own
        if 'lr' not in custom:
            own['lr'] = own['lr'] * rule.scale
        if rule.no_decay and not {'decay_mult', 'weight_decay'} & custom.keys():
            own['weight_decay'] = 0.0
        return own

    def _custom(self, name: str) -> dict[str, Any]:
        """Give the fields of the custom key that the host applies to a parameter."""
        keys = self.paramwise_cfg.get('custom_keys', {})
        matching = [key for key in sorted(keys) if key in _dotted(name)]
        return keys[max(matching, key=len)] if matching else {}

    def _check_custom_keys(self, model: nn.Module) -> None:
        """Refuse custom keys that match nothing, most often misspelt ones."""
        names = [
            _dotted(name) for name, _ in model.named_parameters(remove_duplicate=False)
        ]
        for key in self.paramwise_cfg.get('custom_keys', {}):
            if not any(key in name for name in names):
                raise ValueError(
                    f'paramwise_cfg.custom_keys: {key!r} is part of no name of a '
                    f'parameter of {type(model).__name__}; names are like '
                    f'{names[0].lstrip(".")!r}'
                )

    def _rules(self, model: nn.Module) -> dict[int, _Rule]:
        """Ask the backbones about their parameters, by the id of the parameter."""
        rate = self.paramwise_cfg['layer_decay_rate']
        rules: dict[int, _Rule] = {}
        for path, module in model.named_modules():
            if not callable(getattr(module, 'get_layer_depth', None)):
                continue
            prefix = f'{path}.' if path else ''
            exempt: set[str] = getattr(module, 'no_weight_decay', set)()
            for name, param in module.named_parameters():
                depth, total = module.get_layer_depth(prefix + name, prefix)
                rule = _Rule(rate ** (total - 1 - depth), name in exempt)
                # Of nested ones the outer backbone decides.
                rules.setdefault(id(param), rule)
        if not rules:
            raise ValueError(
                f'layer_decay_rate={rate}: no module of {type(model).__name__} has '
                'get_layer_depth, which tells the depth of a parameter; use a backbone '
                "with it, such as s5_mm.ViT, or leave the optimizer wrapper's "
                'constructor out'
            )
        return rules


def _dotted(name: str) -> str:
    """Write a name as the host does when it looks for custom keys."""
    return name if '.' in name else f'.{name}'


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the host from logging each parameter with its rate before the decay."""

    def wanted(record: logging.LogRecord) -> bool:
        return not str(record.msg).startswith('paramwise_options -- ')

    logger = MMLogger.get_current_instance()
    logger.addFilter(wanted)
    try:
        yield
    finally:
        logger.removeFilter(wanted)
