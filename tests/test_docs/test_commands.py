"""Commands of README and docs run word for word, or are on a list that says why not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.registry import init_default_scope

from s5_mm.registry import MODELS
from s5_mm.testing.toy import toy_segmentor

from .blocks import Block, blocks, blocks_of
from .commands import simple_commands
from .lists import FIRST_HOUR, NOT_RUN, RUN, Entry
from .tables import lay

EVERY = [(block, words) for block in blocks('bash') for words in simple_commands(block)]


def _entry(block: Block, words: list[str]) -> Entry:
    """Find the one entry of the lists that is about a command."""
    text = ' '.join(words)
    found = [e for e in (*RUN, *FIRST_HOUR, *NOT_RUN) if e.matches(block.page, text)]
    assert len(found) == 1, f'{block.name}: {text} is on {len(found)} lists'
    return found[0]


def test_every_command_is_on_one_list_and_every_entry_is_needed() -> None:
    used = {_entry(block, words) for block, words in EVERY}
    assert not {*RUN, *FIRST_HOUR, *NOT_RUN} - used


def test_the_rows_of_a_large_image() -> None:
    """The loop of docs/inference.md, around a small model."""
    (block,) = blocks_of('docs/inference.md', 'python')
    init_default_scope('mmseg')
    found: list[torch.Tensor] = []
    scope = dict(
        model=MODELS.build(toy_segmentor(3)).eval(),
        image=torch.randn(3, 700, 600),
        found=found,
    )
    with torch.no_grad():
        exec(block.text.replace('    ...', '    found.append(rows.clone())'), scope)
    assert torch.cat(found).shape == (700, 600)


@pytest.mark.parametrize('name', sorted({entry.note for entry in RUN}))
def test_commands_run_as_printed(name: str, tmp_path: Path) -> None:
    """All that find what they need on one table, in the order of the pages."""
    table = lay(name, tmp_path)
    done: list[list[str]] = []
    for block, words in EVERY:
        entry = _entry(block, words)
        if entry in RUN and entry.note == name and words not in done:
            print(f'--- {block.name}:', *words)
            table.run(words)
            done.append(words)
    for word in {'DST', 'OUT_DIR', 'DIR'} & table.words.keys():
        assert (tmp_path / table.words[word]).exists(), word
    for path in tmp_path.glob('*.pth'):
        path.unlink()  # pytest keeps the folder; ViT-B has 640 MB
