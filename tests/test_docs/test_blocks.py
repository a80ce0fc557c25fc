"""What the blocks of README and docs name is there; test_commands.py runs them."""

from __future__ import annotations

import ast
import importlib
import re

import pytest
from mmengine.registry import Registry

from s5_mm.cli.config import load_config

from .blocks import PAGES, ROOT, Block, blocks
from .commands import check_arguments, check_configs, simple_commands

# Words that are no command of this repository.
SHELL = {'git', 'cd', 'source', 'conda', 'export', 'python3.11', 'sed', 'sort', 'diff'}


@pytest.mark.parametrize('block', blocks('bash'), ids=lambda block: block.name)
def test_commands_exist_and_take_what_they_are_given(block: Block) -> None:
    count = 0
    for words in simple_commands(block):
        count += 1
        _check_command(words)
    assert count


def _check_command(words: list[str]) -> None:
    """Check one command as far as that goes without running it."""
    program, *rest = words
    if program == 'python' and rest[0] == '-c':
        compile(rest[1], '-c', 'exec')
    elif program == 'python' and rest[:1] == ['-m'] and rest[1].startswith('tools.'):
        script = ROOT / (rest[1].replace('.', '/') + '.py')
        assert script.is_file(), rest[1]
        check_configs(rest)
        check_arguments(script, rest[2:])
    elif program == 'python' and rest[0] == '-m':
        assert rest[1] in ('venv', 'pip', 'pytest'), words
    elif program == 'python':
        script = ROOT / rest[0]
        assert script.is_file(), rest[0]
        check_configs(rest)
        check_arguments(script, rest[1:])
    elif program == 'bash':
        assert (ROOT / rest[0]).is_file(), rest[0]
        check_configs(rest)
    elif program == 'make':
        goals = [word for word in rest if '=' not in word]
        makefile = (ROOT / 'Makefile').read_text()
        for goal in goals:
            assert re.search(rf'^{goal}:', makefile, re.M), goal
        for word in rest:
            name = word.partition('=')[0]
            assert word in goals or re.search(rf'^{name} \?=', makefile, re.M), word
    elif program == 'pip':
        _check_pip(rest)
    else:
        assert program in SHELL, words


def _check_pip(words: list[str]) -> None:
    """Check the files and the extras that a line of pip names."""
    for flag, value in zip(words, words[1:], strict=False):
        if flag == '-c':
            assert (ROOT / value).is_file(), value
        if flag == '-e':
            extras = re.search(r'\[(.*)\]', value)
            for extra in extras[1].split(',') if extras else ():
                assert extra == 'all' or (ROOT / f'requirements/{extra}.txt').is_file()


@pytest.mark.parametrize('block', blocks('python'), ids=lambda block: block.name)
def test_python_blocks_parse_and_their_imports_are_there(block: Block) -> None:
    # Dots stand for what the reader knows; after keywords they are no Python.
    text = re.sub(r',\s*\.\.\.(?=[,)])', '', block.text)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.module:
            module = importlib.import_module(node.module)
            for alias in node.names:
                assert hasattr(module, alias.name), f'{node.module}.{alias.name}'
        elif isinstance(node, ast.Import):
            for alias in node.names:
                importlib.import_module(alias.name)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            _check_registered(node)


def _check_registered(call: ast.Call) -> None:
    """Check that a class of ours that a config names is registered."""
    import s5_mm.registry as registries

    for keyword in call.keywords:
        value = getattr(keyword.value, 'value', None)
        if keyword.arg == 'type' and str(value).startswith('s5_mm.'):
            every = [r for r in vars(registries).values() if isinstance(r, Registry)]
            assert any(r.get(value.split('.')[1]) for r in every), value


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_scripts_in_running_text_are_there(page) -> None:
    """Also outside of blocks, and in blocks without a language."""
    for script in re.findall(
        r'python ((?:tools|data_curation)/\S+\.py)', page.read_text()
    ):
        if script != 'tools/dataset_converters/NAME.py':
            assert (ROOT / script).is_file(), script


def test_configs_of_the_paper_train_without_weights() -> None:
    """The switches of docs/first_model.md."""
    text = (ROOT / 'docs/first_model.md').read_text()
    s4p, finetune = re.findall(
        r'`(?:--cfg-options )?([\w.]*(?:init_cfg|load_from))=None`', text
    )
    cfg = load_config(str(ROOT / 'configs/s4p/vit-l_rs4p1m.py'), {s4p: None})
    assert cfg.model.segmentor.backbone.init_cfg is None
    path = str(ROOT / 'configs/finetune_seg/mdf_vit-b.py')
    assert load_config(path).load_from is not None
    assert load_config(path, {finetune: None}).load_from is None
