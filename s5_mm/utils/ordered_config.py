"""Configs that keep their order."""

from __future__ import annotations

import keyword
from typing import Any

from mmengine.config import Config


class OrderedConfig(Config):
    """A config whose text names its settings in the order in which they were given.

    The runner writes the text into the work directory and into checkpoints.
    mmengine's sorts by name (0.10.12): a run that is resumed from it has the data sets
    in another order, and with it other draws, batches and, as the optimizer counts its
    parameters, the moments of another data set's expert.  It is laid out by yapf too,
    which takes a second in each checkpoint.
    """

    @property
    def pretty_text(self) -> str:
        """The config as a Python file."""
        settings = self.to_dict().items()
        return ''.join(f'{key} = {_text(value, 0)}\n' for key, value in settings)


def _text(value: Any, indent: int) -> str:
    """Write a setting as an expression, over several lines where it is long."""
    if isinstance(value, dict):
        named = all(
            isinstance(key, str) and key.isidentifier() and not keyword.iskeyword(key)
            for key in value
        )
        start, stop = ('dict(', ')') if named else ('{', '}')
        keys = [f'{key}=' if named else f'{key!r}: ' for key in value]
        children = list(value.values())
    elif isinstance(value, (list, tuple)):
        start, stop = '[]' if isinstance(value, list) else '()'
        keys, children = [''] * len(value), list(value)
        if isinstance(value, tuple) and len(value) == 1:
            stop = ',)'
    elif isinstance(value, type):
        builtin = value.__module__ == 'builtins'
        return value.__name__ if builtin else f'{value.__module__}.{value.__name__}'
    else:
        return repr(value)
    parts = [
        key + _text(child, indent + 4)
        for key, child in zip(keys, children, strict=True)
    ]
    line = start + ', '.join(parts) + stop
    if len(line) + indent <= 88 and '\n' not in line:
        return line
    inner = ''.join(f'{" " * (indent + 4)}{part},\n' for part in parts)
    return f'{start}\n{inner}{" " * indent}{stop.lstrip(",")}'
