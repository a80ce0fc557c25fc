"""Take the commands of a block apart, and check what they name."""

from __future__ import annotations

import argparse
import contextlib
import inspect
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import Registry

import s5_mm.registry as registries
from s5_mm.cli.config import load_config
from s5_mm.curation.settings import DEFAULTS

from .blocks import ROOT, Block

#: Names that readers give to files of their own.
OWN = re.compile(
    r'configs/own/\w+\.py|configs/(s4p|finetune_\w+)/\S*_mine\.py|OUT_DIR/\S+'
)
#: Settings of curation that a config may leave out.
OPTIONAL = {f'{section}.{key}' for section, keys in DEFAULTS.items() for key in keys}
_VARIABLE = re.compile(r'\$\{?(\w+)\}?')


def simple_commands(block: Block) -> Iterator[list[str]]:
    """Yield the commands of a block, as the words that a shell makes of them.

    Loops run once, with their first value; braces and globs are expanded.
    """
    values: dict[str, str] = {}
    for line in block.commands:
        lexer = shlex.shlex(line, posix=True, punctuation_chars='&|;')
        lexer.whitespace_split, lexer.commenters = True, '#'
        words: list[str] = []
        for word in [*lexer, ';']:
            if set(word) <= set('&|;'):
                command = _without_loops(words, values)
                words = []
                if command:
                    yield _expand(command, values)
            elif word != '...':
                words.append(word.removesuffix(',...'))
            elif words[-1].startswith('--'):  # something of that kind; else: and so on
                words.append('name=path')


def _without_loops(words: list[str], values: dict[str, str]) -> list[str]:
    """Drop the words of loops, and remember the first values and assignments."""
    if words[:1] == ['for']:
        values[words[1]] = words[3]
        return []
    while words and words[0] in ('do', 'done', 'then', 'fi'):
        words = words[1:]
    while words and re.fullmatch(r'\w+=.*', words[0]):
        name, _, value = words[0].partition('=')
        values[name] = value
        words = words[1:]
    return words


def _expand(words: list[str], values: dict[str, str]) -> list[str]:
    """Put in variables, and what braces and globs stand for."""
    expanded: list[str] = []
    for word in words:
        word = _VARIABLE.sub(lambda match: values.get(match[1], match[0]), word)
        if re.search(r'\{\S*,\S*\}|configs/\S*\*', word):
            done = subprocess.run(
                ['bash', '-c', f'printf "%s\\n" {word}'],
                cwd=ROOT,
                capture_output=True,
                text=True,
                check=True,
            )
            expanded += done.stdout.split()
        else:
            expanded.append(word)
    return expanded


def fill(text: str, words: Mapping[str, str]) -> str:
    """Put something in the place of words that a page tells its reader to replace."""
    for word, own in words.items():
        before, (text, count) = (
            text,
            re.subn(rf'(?<![\w/]){word}\b', own.replace('\\', r'\\'), text),
        )
        assert count or word not in before, word
    return text


class _Parsed(BaseException):
    """The arguments were accepted."""


def check_arguments(script: Path, arguments: list[str]) -> argparse.Namespace:
    """Let a command read its arguments, and nothing else.

    Args:
        script: The command.
        arguments: What follows its name.

    Returns:
        What it read.
    """
    parsed: list[argparse.Namespace] = []
    original = argparse.ArgumentParser.parse_args

    def parse(self, args=None, namespace=None):
        found = original(self, args, namespace)
        parsed.append(found)
        raise _Parsed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(argparse.ArgumentParser, 'parse_args', parse)
        patch.setattr(sys, 'argv', [script.name, *arguments])
        patch.syspath_prepend(str(script.parent))
        with contextlib.suppress(_Parsed, SystemExit):
            if script.parent.name == 'benchmarks':
                runpy.run_module(f'tools.benchmarks.{script.stem}', run_name='__main__')
            else:
                runpy.run_path(str(script), run_name='__main__')
    assert parsed, f'{script.name} refuses {arguments}'
    return parsed[0]


def check_configs(words: list[str]) -> None:
    """Check that the configs of a command are there and have the keys it sets."""
    configs = [word for word in words if re.fullmatch(r'configs/\S+\.py', word)]
    for name in configs:
        assert OWN.fullmatch(name) or (ROOT / name).is_file(), name
    if '--cfg-options' not in words or not configs or OWN.fullmatch(configs[0]):
        return
    cfg = load_config(str(ROOT / configs[0]))
    for word in words[words.index('--cfg-options') + 1 :]:
        key, equals, _ = word.partition('=')
        if not equals or word.startswith('-'):
            break
        if key not in OPTIONAL or 'curation' not in configs[0]:
            _check_key(cfg, key, configs[0])


def _check_key(cfg: Config, key: str, name: str) -> None:
    """Check that a config has a setting, or that the class it is for takes it."""
    node = cfg
    for part in key.split('.'):
        if part.isdigit():
            node = node[int(part)]
        elif part in node:
            node = node[part]
        else:
            assert _takes(node.get('type'), part), f'{name} has no setting {key}'
            return
        if node is None or isinstance(node, str):
            return


def _takes(name: str | None, argument: str) -> bool:
    """Tell whether a registered class has an argument, also one that it passes on."""
    every = [
        found for found in vars(registries).values() if isinstance(found, Registry)
    ]
    classes = [found.get(name) for found in every] if name else []
    return any(
        argument in inspect.signature(parent).parameters
        for found in classes
        if found is not None
        for parent in inspect.getmro(found)[:-1]
    )
