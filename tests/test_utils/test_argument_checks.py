"""Ranges and choices: what is refused, and in which words."""

import re

import numpy as np
import pytest

from s5_mm.utils.argument_checks import check_choice, check_number

NAN = float('nan')


@pytest.mark.parametrize('value', [0, 1, 0.5, np.float32(0.5), np.int64(1)])
def test_numbers_come_back(value):
    assert check_number('x', value, 0, 1) is value


@pytest.mark.parametrize(
    ('value', 'bounds', 'message'),
    [
        (1.5, dict(least=0, most=1), 'x=1.5, expected 0 to 1'),
        (NAN, dict(least=0, most=1), 'x=nan, expected 0 to 1'),
        (NAN, dict(above=0), 'x=nan, expected above 0'),
        (True, dict(least=0, most=1), 'x=True, expected 0 to 1'),
        ('1', dict(least=0), "x='1', expected at least 0"),
        (None, dict(most=3), 'x=None, expected at most 3'),
        (0, dict(above=0, most=1), 'x=0, expected above 0 and at most 1'),
        (1, dict(least=0, below=1), 'x=1, expected at least 0 and below 1'),
        (1.0, dict(least=1, whole=True), 'x=1.0, expected a whole number, at least 1'),
        (True, dict(least=1, whole=True), 'x=True, expected a whole number, at leas'),
        (9, dict(least=1, most=8, why=': bits'), 'x=9, expected 1 to 8: bits'),
    ],
)
def test_others_are_refused(value, bounds, message):
    with pytest.raises(ValueError, match=f'^{re.escape(message)}'):
        check_number('x', value, **bounds)


def test_choices():
    assert check_choice('x', 'b', ('a', 'b')) == 'b'
    with pytest.raises(ValueError, match="^x='d', allowed are 'a', 'b' and None$"):
        check_choice('x', 'd', ('a', 'b', None))
    with pytest.raises(ValueError, match="^x='d', allowed are 'a'$"):
        check_choice('x', 'd', ['a'])
