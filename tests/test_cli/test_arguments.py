"""Settings on the command line that have another form than KEY=VALUE."""

import pytest

from s5_mm.cli.arguments import add_options_argument
from s5_mm.cli.command import CommandParser


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('a.b', "expected KEY=VALUE, found 'a.b', e.g. train_cfg.max_iters=1000"),
        ('a=[1,2', 'a=[1,2: a bracket is not closed'),
        ('a={"type":"A","b":[1,2]}', 'a={"type":"A","b":[1,2]}: a value is a number,'),
        ('a=[dict(type=A)]', 'a=[dict(type=A)]: a value is a number, a word or a list'),
        ('a=(1,2),(3,4)', 'a=(1,2),(3,4): expected lists such as [1,2] or [(1,2)'),
    ],
)
def test_what_is_no_setting(capsys, text, message):
    parser = CommandParser('', 'tool.py')
    add_options_argument(parser)
    with pytest.raises(SystemExit) as stop:
        parser.parse_args(['--cfg-options', text])
    assert stop.value.code == 2
    line = capsys.readouterr().err
    assert line.count('\n') == 1
    assert line.startswith(f'tool.py: --cfg-options{":" if text == "a.b" else ""} ')
    assert message in line


def test_lists_and_words():
    parser = CommandParser('', 'tool.py')
    add_options_argument(parser)
    options = ['a=[(1,2),(3,4)]', 'b=1,2', 'c=dictionary(s)', 'd=x=y']
    assert parser.parse_args(['--cfg-options', *options]).cfg_options == {
        'a': [(1, 2), (3, 4)],
        'b': [1, 2],
        'c': 'dictionary(s)',
        'd': 'x=y',
    }
