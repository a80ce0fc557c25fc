"""Loading a checkpoint into a model, with nothing passed over in silence."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from itertools import islice
from typing import Literal, NamedTuple

from mmengine.logging import print_log
from torch import Tensor, nn

from s5_mm.utils.argument_checks import check_choice

from .bias_tables import fit_bias_tables
from .errors import SKIP_OPTION, CheckpointError
from .foreign_parts import describe_lacking, lacking_in
from .formats import Converted, convert
from .keys import summarise_keys

# Where the common trainers keep the weights inside their file, in order of preference.
_WRAPPERS = (
    'state_dict',
    'model',
    'model_state_dict',
    'module',
    'network',
    'student',
    'teacher',
    'model_ema',
    'state_dict_ema',
    'ema_state_dict',
    'target_encoder',
    'encoder',
    'net',
    'backbone',
)


class LoadReport(NamedTuple):
    """What happened to the tensors of a checkpoint.

    Attributes:
        loaded: Names in the model that were filled.
        not_used: Names in the checkpoint that the model has no place for.
        mismatched: Names left out because of their shape (``mismatch='skip'``).
        missing: Names in the model that the checkpoint does not have.
    """

    loaded: list[str]
    not_used: list[str]
    mismatched: list[str]
    missing: list[str]


def unwrap(
    checkpoint: Mapping[str, object], source_name: str, prefix: str = ''
) -> dict[str, Tensor]:
    """Find the tensors of a checkpoint.

    Args:
        checkpoint: A state dict, or a trainer's dict with one under ``state_dict``,
            ``model``, ``student``, ``teacher``, ``ema_state_dict`` and the like; of
            several the first in this order is taken.
        source_name: File, for the error message.
        prefix: Start of the names that are wanted.  One that begins with the name of
            such a dict, e.g. ``teacher.``, chooses it.

    Returns:
        Names and tensors; entries that are no tensors are left out.  Names from a dict
        that ``prefix`` chose begin with its name.

    Raises:
        CheckpointError: There are no tensors in these places.
    """
    chosen, dot, rest = prefix.partition('.')
    if dot and isinstance(checkpoint.get(chosen), Mapping):
        tensors = unwrap(checkpoint[chosen], source_name, rest)  # type: ignore[arg-type]
        return {f'{chosen}.{name}': tensor for name, tensor in tensors.items()}
    for key in _WRAPPERS:
        if isinstance(checkpoint.get(key), Mapping):
            return unwrap(checkpoint[key], source_name, prefix)  # type: ignore[arg-type]
    tensors = {k: v for k, v in checkpoint.items() if isinstance(v, Tensor)}
    if tensors:
        return tensors
    raise CheckpointError(
        f'{source_name}: no weights found; expected tensors at the top or under one of '
        f'{list(_WRAPPERS)}, found the keys {list(islice(checkpoint, 8))}'
    )


def _match(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> Converted:
    """Translate a checkpoint so that as many names as possible are the model's."""
    own = Converted(dict(found), {name: name for name in found}, [], {}, [])
    standard = convert(found)
    candidates = (
        own,
        standard,
        _renamed(standard, {n: n.removeprefix('backbone.') for n in standard.state}),
        _renamed(standard, {n: f'student.{n}' for n in standard.state}),
    )
    return max(candidates, key=lambda new: len(new.state.keys() & wanted.keys()))


def _renamed(converted: Converted, names: Mapping[str, str]) -> Converted:
    """Put the tensors of a translated checkpoint under other names."""
    return converted._replace(
        state={names[name]: tensor for name, tensor in converted.state.items()},
        source={names[name]: old for name, old in converted.source.items()},
    )


def _wrong_shapes(
    tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor]
) -> dict[str, str]:
    """Describe the tensors whose shape is not the model's.

    The length of a position embedding is free: the backbone interpolates it.
    """
    wrong = {}
    for name, tensor in tensors.items():
        found, allowed = tuple(tensor.shape), tuple(wanted[name].shape)
        resizable = name.endswith('pos_embed') and len(found) == len(allowed) == 3
        if found != allowed and not (resizable and found[::2] == allowed[::2]):
            wrong[name] = f'{name}: found {found}, the model has {allowed}'
            if name.endswith('patch_embed.projection.weight'):
                wrong[name] += _way_out(found, allowed)
    return wrong


def _way_out(found: tuple[int, ...], allowed: tuple[int, ...]) -> str:
    """Say how a patch embedding of other patches or bands can be used."""
    if found[0] != allowed[0] or len(found) != len(allowed):
        return ''
    options = ''
    if found[2:] != allowed[2:]:
        options += f' --patch-size {allowed[-1]}'
    if found[1] != allowed[1]:
        options += f' --bands {allowed[1]}'
    return f'; tools/model_converters/convert_checkpoint.py{options} resamples it'


def _advice(wrong: Collection[str]) -> str:
    """Say how layers for other classes are started anew; none for other parts."""
    if any('backbone.' in name or 'embed' in name for name in wrong):
        return ''
    return (
        '. If they are for other classes, give the model as many, or train them anew '
        f'with {SKIP_OPTION}'
    )


def fit_to_model(
    model: nn.Module,
    checkpoint: Mapping[str, object],
    source_name: str,
    prefix: str = '',
    mismatch: Literal['raise', 'skip'] = 'raise',
) -> tuple[dict[str, Tensor], LoadReport]:
    """Translate a checkpoint of any recognised origin into a model's state dict.

    The file is translated (:mod:`s5_mm.checkpoints.formats`) and put where the model
    has it: at the top of a bare backbone, under ``backbone.`` of a segmentor, under
    ``student.`` of a semi-supervised wrapper (whose ``adopt_state_dict`` then fills
    its teacher).  Parts of the model with a method ``translate_checkpoint(state,
    prefix, mismatch)`` change the renamed tensors in place first: a mixture of experts
    splits dense layers, a model of several data sets hands a decoder to each.  One
    warning names everything that was not used or not there.

    Args:
        model: Model that shall be filled.
        checkpoint: What was read from the file.
        source_name: File, for messages.
        prefix: Take only names that start with it, without it.
        mismatch: What to do with a tensor of another shape: 'raise', or 'skip' it and
            name it in the warning (a classifier of other classes).

    Returns:
        Tensors by the model's names, and the fate of every tensor.

    Raises:
        CheckpointError: Nothing matches, the backbone of the file has parts that the
            model's lacks, or a shape differs with ``mismatch='raise'``.
        ValueError: ``mismatch`` is neither, or a position embedding has no square grid.
    """
    check_choice('mismatch', mismatch, ('raise', 'skip'))
    found = unwrap(checkpoint, source_name, prefix)
    chosen = {k[len(prefix) :]: v for k, v in found.items() if k.startswith(prefix)}
    wanted = model.state_dict()
    try:
        converted = _match(chosen, wanted)
    except CheckpointError as error:
        raise CheckpointError(f'{source_name}: {error}') from None
    renamed = converted.state
    notes = [*converted.notes, *_translate(model, renamed, source_name, mismatch)]
    notes += fit_bias_tables(renamed, wanted)
    # What a part of the model took out of the state was used by it.
    left_out = {
        old
        for new, old in converted.source.items()
        if new in renamed and new not in wanted
    }
    left_out.update(converted.unused)
    usable = {name: tensor for name, tensor in renamed.items() if name in wanted}
    if not usable:
        selected = f' under the prefix {prefix!r}' if prefix else ''
        raise CheckpointError(
            f'{source_name}: nothing in it{selected} matches {type(model).__name__}; '
            f'found keys like {list(islice(found, 3))}, '
            f'expected keys like {list(islice(wanted, 3))}'
        )
    lacking = lacking_in(wanted, renamed)
    if lacking:
        parts = describe_lacking(lacking, renamed, converted.source)
        raise CheckpointError(
            f'{source_name}: {parts}; {type(model).__name__} has no such parameters '
            'and would compute other features. Expected weights of the model that is '
            'configured, see docs/checkpoints.md, or a model with these parts'
        )
    adopt = getattr(model, 'adopt_state_dict', None)
    if adopt is not None:
        adopt(usable)
    wrong = _wrong_shapes(usable, wanted)
    if wrong and mismatch == 'raise':
        listed = '; '.join(islice(wrong.values(), 10))
        raise CheckpointError(
            f'{source_name}: {len(wrong)} tensors have another shape: '
            f'{listed}{_advice(wrong)}'
        )
    report = LoadReport(
        loaded=[name for name in wanted if name in usable and name not in wrong],
        not_used=[name for name in chosen if name in left_out],
        mismatched=list(wrong),
        missing=[name for name in wanted if name not in usable],
    )
    _tell(report, source_name, list(wrong.values()), notes)
    return {name: usable[name] for name in report.loaded}, report


def _translate(
    model: nn.Module,
    state: dict[str, Tensor],
    source_name: str,
    mismatch: Literal['raise', 'skip'],
) -> list[str]:
    """Let the parts of a model that know other forms of a checkpoint change it."""
    notes: list[str] = []
    for name, part in model.named_modules():
        if hasattr(part, 'translate_checkpoint'):
            prefix = f'{name}.' if name else ''
            try:
                notes += part.translate_checkpoint(state, prefix, mismatch)
            except CheckpointError as error:
                raise CheckpointError(f'{source_name}: {error}') from None
    return notes


def load_into(
    model: nn.Module,
    checkpoint: Mapping[str, object],
    source_name: str,
    prefix: str = '',
    mismatch: Literal['raise', 'skip'] = 'raise',
) -> LoadReport:
    """Load weights of any recognised origin, see :func:`fit_to_model`.

    Args:
        model: Model to fill in place.
        checkpoint: What was read from the file.
        source_name: File, for messages.
        prefix: Take only names that start with it, without it.
        mismatch: 'raise' or 'skip' tensors of another shape.

    Returns:
        The fate of every tensor.

    Raises:
        CheckpointError: As in :func:`fit_to_model`.
    """
    state, report = fit_to_model(model, checkpoint, source_name, prefix, mismatch)
    model.load_state_dict(state, strict=False)
    return report


def _tell(
    report: LoadReport, source_name: str, wrong: list[str], notes: list[str]
) -> None:
    """Log what was loaded: one line, a warning if anything was left over."""
    parts = [f'{source_name}: {len(report.loaded)} tensors loaded', *notes]
    complete = len(parts)
    if report.not_used:
        parts.append(f'not used from the file: {summarise_keys(report.not_used)}')
    if wrong:
        parts.append(f'not used because of their shape: {"; ".join(wrong)}')
    if report.missing:
        names = summarise_keys(report.missing)
        parts.append(f'not in the file and left as they were: {names}')
    level = logging.WARNING if len(parts) > complete else logging.INFO
    print_log('. '.join(parts), logger='current', level=level)
