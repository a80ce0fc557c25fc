"""What the text of a config assigns, and reading it with other values."""

from __future__ import annotations

import ast
import os.path as osp
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.config.config import BASE_KEY


@contextmanager
def variables_set(values: Mapping[str, Any]) -> Iterator[None]:
    """Let the text of configs that are read assign other values.

    Args:
        values: Variable -> its value, of types with a readable ``repr``.  A key with
            dots changes a part of a dictionary.  In each file, bases included, that
            assigns the variable at its top level, the assignment is followed by one of
            the value.

    Yields:
        Nothing.
    """
    # mmengine passes every file of a config through this function on its way to being
    # evaluated, and has no other place to change a text (0.10.12).
    substitute = Config._substitute_predefined_vars

    def substitute_and_set(filename: str, temp_config_name: str) -> None:
        substitute(filename, temp_config_name)
        path = Path(temp_config_name)
        if path.suffix == '.py':
            text = path.read_text(encoding='utf-8')
            path.write_text(_with_values(text, values), encoding='utf-8')

    Config._substitute_predefined_vars = staticmethod(substitute_and_set)
    try:
        yield
    finally:
        Config._substitute_predefined_vars = staticmethod(substitute)


def _with_values(text: str, values: Mapping[str, Any]) -> str:
    """Let the assignments of a text be followed by those of other values."""
    lines = text.splitlines()
    for name, end in reversed(list(_assignments(ast.parse(text)))):
        added = [
            ''.join([name, *(f'[{part!r}]' for part in key.split('.')[1:])])
            + f' = {value!r}'
            for key, value in values.items()
            if key.split('.')[0] == name
        ]
        lines[end:end] = added
    return '\n'.join(lines) + '\n'


def _assignments(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Variables that a config assigns at its top level, and the last lines of it."""
    for node in tree.body:
        target = node.targets[0] if isinstance(node, ast.Assign) else None
        if isinstance(target, ast.Name) and target.id != BASE_KEY:
            yield target.id, node.end_lineno or node.lineno


def config_files(path: str) -> Iterator[tuple[str, list[str]]]:
    """List a config and its bases.

    Args:
        path: The config.

    Yields:
        A file, and all files below it that it is based on.
    """
    below: list[str] = []
    for base in Config._get_base_files(path):
        for file, more in config_files(Config._get_cfg_path(base, path)[0]):
            below.append(file)
            yield file, more
    yield path, below


def assigned_names(path: str) -> set[str]:
    """Names that a config file assigns at its top level."""
    return {name for name, _ in _assignments(_parse(path))}


def dead_assignments(path: str, known: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Find variables that a file assigns again and does not use.

    Args:
        path: The config.
        known: Names that are settings, which a leaf overrides.

    Yields:
        File, and the variable that one of its bases assigns too.
    """
    for file, bases in config_files(path):
        if not file.endswith('.py') or not bases:
            continue
        tree = _parse(file)
        own = {name for name, _ in _assignments(tree)} - known
        used = {
            node.id
            for node in ast.walk(tree)
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
        }
        below = set().union(*map(assigned_names, bases))
        for name in sorted((own & below) - used):
            yield file, name


def _parse(path: str) -> ast.Module:
    """Parse a config file; one that is no Python assigns nothing."""
    if osp.splitext(path)[1] != '.py':
        return ast.Module(body=[], type_ignores=[])
    return ast.parse(Path(path).read_text(encoding='utf-8'))


def differences(one: Any, other: Any, key: str = '') -> Iterator[str]:
    """Yield the dotted keys in which two trees of settings differ.

    Args:
        one: Dictionaries, lists and values.
        other: What it is compared with.
        key: Where they are.
    """
    if isinstance(one, dict) and isinstance(other, dict):
        for name in {**one, **other}:
            below = f'{key}.{name}' if key else str(name)
            if (name in one) != (name in other):
                yield below
            else:
                yield from differences(one[name], other[name], below)
    elif _sequences(one, other) and any(map(_nested, [*one, *other])):
        for number, pair in enumerate(zip(one, other, strict=True)):
            yield from differences(*pair, f'{key}.{number}')
    elif one != other or type(one) is not type(other):
        yield key


def _sequences(one: Any, other: Any) -> bool:
    """Whether both are sequences of a kind and length."""
    return (
        isinstance(one, (list, tuple))
        and type(one) is type(other)
        and len(one) == len(other)
    )


def _nested(value: Any) -> bool:
    """Whether a value has settings of its own."""
    return isinstance(value, (dict, list, tuple))


def named(tree: Any, key: str = '') -> Iterator[str]:
    """Yield the dotted keys of a tree of settings.

    Args:
        tree: Dictionaries, lists and values.
        key: Where the tree is.
    """
    if isinstance(tree, (list, tuple)):
        tree = dict(enumerate(tree))
    for name, child in tree.items() if isinstance(tree, dict) else ():
        where = f'{key}.{name}' if key else str(name)
        yield where
        yield from named(child, where)


def places(value: Any, tree: Any, key: str = '') -> Iterator[str]:
    """Yield the dotted keys below which a value stands in a tree of settings.

    Args:
        value: What is looked for.
        tree: Dictionaries, lists and values.
        key: Where the tree is.
    """
    if key and type(tree) is type(value) and tree == value:
        yield key
    elif isinstance(tree, dict):
        for name, child in tree.items():
            yield from places(value, child, f'{key}.{name}' if key else str(name))
    elif isinstance(tree, (list, tuple)):
        for number, child in enumerate(tree):
            yield from places(value, child, f'{key}.{number}')
