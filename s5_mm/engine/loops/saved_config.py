"""The config text in a checkpoint, read as data and compared."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import Any

# Settings that say where a run is, not what it computes.
_INCIDENTAL = frozenset(
    {
        'work_dir',
        'resume',
        'load_from',
        'launcher',
        'experiment_name',
        'train_cfg.resume_schedule',
    }
)
_WIDTH = 60  # characters of a value in a message


def read_saved_config(text: Any) -> dict[str, Any] | None:
    """Read the text of a config without executing it.

    Args:
        text: Assignments of literals and of ``dict(...)``, as mmengine and
            :class:`s5_mm.utils.ordered_config.OrderedConfig` write a config.

    Returns:
        Settings by name, tuples as lists, expressions other than literals as their
        text; None where the text cannot be read.
    """
    if not isinstance(text, str):
        return None
    try:
        body = ast.parse(text).body
        return {
            statement.targets[0].id: _value(statement.value)
            for statement in body
            if isinstance(statement, ast.Assign)
            and isinstance(statement.targets[0], ast.Name)
        }
    # Too deep a nesting is a RecursionError or a MemoryError of the parser.
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        return None


def config_changes(old: dict[str, Any], new: dict[str, Any]) -> dict[str, str]:
    """Compare two configs.

    Args:
        old: Settings of a checkpoint, from :func:`read_saved_config`.
        new: Settings of a run.

    Returns:
        ``'old -> new'``, shortened, by the dotted key of what differs; folders of the
        run and the like are not compared.
    """
    before, after = _flatten(old), _flatten(new)
    return {
        key: f'{_short(before.get(key, _ABSENT))} -> {_short(after.get(key, _ABSENT))}'
        for key in {**before, **after}
        if key not in _INCIDENTAL
        and before.get(key, _ABSENT) != after.get(key, _ABSENT)
    }


class _Absent:
    """What a config does not have."""

    def __repr__(self) -> str:
        return '(not set)'


_ABSENT = _Absent()


def _value(node: ast.expr) -> Any:
    """Read an expression."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, (ast.List, ast.Tuple)):
        return [_value(item) for item in node.elts]
    if isinstance(node, ast.Dict):
        pairs = zip(node.keys, node.values, strict=True)
        return _merge((key and _value(key), _value(value)) for key, value in pairs)
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == 'dict'
    ):
        # mmengine writes dict({...}) where a key is no name.
        given = [(None, _value(argument)) for argument in node.args]
        return _merge(
            [*given, *((word.arg, _value(word.value)) for word in node.keywords)]
        )
    if (
        isinstance(node, ast.UnaryOp)
        and isinstance(node.op, ast.USub)
        and isinstance(node.operand, ast.Constant)
        and isinstance(node.operand.value, (int, float, complex))
    ):
        return -node.operand.value
    return ast.unparse(node)


def _merge(pairs: Any) -> dict[Any, Any]:
    """Build a mapping; a key of None is ``**``, whose value is a mapping."""
    merged: dict[Any, Any] = {}
    for key, value in pairs:
        merged.update(value if key is None else {key: value})
    return merged


def _flatten(value: Any, key: str = '') -> dict[str, Any]:
    """Name the leaves of a tree: items of mappings, and of lists that hold mappings."""
    if isinstance(value, dict) and value:
        items: Iterable[tuple[Any, Any]] = value.items()
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        items = enumerate(value)
    else:
        return {key: value}
    prefix = f'{key}.' if key else ''
    return {
        name: leaf
        for part, child in items
        for name, leaf in _flatten(child, f'{prefix}{part}').items()
    }


def _short(value: Any) -> str:
    """Write a value in at most 60 characters."""
    text = repr(value)
    return text if len(text) <= _WIDTH else f'{text[: _WIDTH - 3]}...'
