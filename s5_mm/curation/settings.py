"""The config of a curation run, checked before anything is read."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from typing import Any

from mmengine.config import Config

from s5_mm.utils.ordered_config import OrderedConfig

from .overlap.eval_crops import FEATURE_GAINS
from .planning.collections import Collection, read_collections
from .planning.crop_grid import CropGrid

DEFAULTS: dict[str, dict[str, Any]] = {
    'crop': dict(size=512, stride=512, small='reflect', min_size=1, max_crops=None),
    'plan': dict(rows_per_part=4096, high_byte=False),
    'gate': {},
    'scorer': dict(config=None, checkpoint=None, num_processes=1, cfg_options={}),
    'prototypes': dict(num_clusters=100, num_restarts=10, num_iters=25, seed=0),
    'selection': dict(num_selected=None, strategy='s5', policy='redistribute', seed=0),
    'check': dict(
        benchmarks={},
        policy='drop',
        exceptions={},
        radius=31,
        min_quality=0.1,
        features=0.95,
        gains=list(FEATURE_GAINS),
        duplicates=True,
    ),
    'shards': {},
    'report': dict(title='Curation'),
}
"""Sections of a config with their defaults; empty ones are checked where they are
used."""


class CurationSettings:
    """What a config says, with defaults filled in.

    Args:
        config: ``collections`` and ``labelled`` (see :class:`Collection`) and the
            sections of :data:`DEFAULTS`.
        text: What the report shows as the config.

    Attributes:
        collections: What is selected from.
        labelled: The labelled images, whose features make the prototypes.
        provenance: Rules of :class:`s5_mm.curation.overlap.provenance.Rule`.
        grid: How crops lie in images.

    Raises:
        ValueError: If a section or one of its keys is unknown, or one is missing, or a
            value is not allowed.
    """

    def __init__(self, config: Mapping[str, Any], text: str = '') -> None:
        self.text = text
        allowed = ['collections', 'labelled', 'provenance', *DEFAULTS]
        given = {k: v for k, v in config.items() if not k.startswith('_')}
        _refuse_unknown('the config', given, allowed)
        for key in ('collections', 'labelled'):
            if key not in given:
                raise ValueError(f'the config has no {key!r}')
        self.provenance: list[dict[str, Any]] = list(given.pop('provenance', ()))
        for name, section in given.items():
            if not isinstance(section, Mapping):
                raise ValueError(f'{name} is {type(section).__name__}, expected a dict')
        self.collections = read_collections(given['collections'])
        self.labelled: Collection = read_collections({'labelled': given['labelled']})[0]
        self.sections = {
            name: _filled(name, defaults, given.get(name, {}))
            for name, defaults in DEFAULTS.items()
        }
        self.grid = CropGrid(**self.sections['crop'])
        gains = self.sections['check']['gains']
        if list(gains[:1]) != [1] or min(gains) <= 0:
            raise ValueError(
                f'check.gains={list(gains)}, allowed are numbers above 0, of which the '
                'first is 1'
            )

    def __getitem__(self, section: str) -> dict[str, Any]:
        """Settings of a section, without gaps."""
        return self.sections[section]

    def need(self, section: str, key: str) -> Any:
        """Give a setting that has no default.

        Args:
            section: Its section.
            key: Its name.

        Returns:
            The value.

        Raises:
            ValueError: If the config does not give it.
        """
        value = self.sections[section][key]
        if value is None:
            raise ValueError(f'the config has no {section}.{key}')
        return value


def load_settings(
    path: str | os.PathLike[str], options: Mapping[str, Any] | None = None
) -> CurationSettings:
    """Read a config file.

    Args:
        path: The file.
        options: Values that take the place of the file's, by dotted names;
            ``data_root`` moves the collections that are below the file's.

    Returns:
        The settings.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: As :class:`CurationSettings`; the file is named.
    """
    config = Config.fromfile(path, format_python_code=False)
    options = dict(options or {})
    if 'data_root' in options:
        _move(config, options.pop('data_root'))
    config.merge_from_dict(options)
    plain = config.to_dict()
    try:
        sections = {
            k: v for k, v in plain.items() if isinstance(v, dict) or k == 'provenance'
        }
        return CurationSettings(sections, OrderedConfig(plain).pretty_text)
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from error


def _move(config: Config, root: str) -> None:
    """Bring the collections below the config's ``data_root`` below another one."""
    old = config.get('data_root')
    if old is None:
        raise ValueError('the config has no data_root to override')
    benchmarks = config.get('check', {}).get('benchmarks', {}).values()
    for collection in [
        *config.get('collections', {}).values(),
        config.get('labelled', {}),
        *(split for splits in benchmarks for split in splits.values()),
    ]:
        if collection.get('root', '').startswith(old):
            collection['root'] = os.path.join(root, collection['root'][len(old) :])


def _filled(
    name: str, defaults: Mapping[str, Any], given: Mapping[str, Any]
) -> dict[str, Any]:
    """Fill in defaults of a section and refuse keys it does not have."""
    if defaults:
        _refuse_unknown(name, given, list(defaults))
    return {**defaults, **given}


def _refuse_unknown(where: str, given: Mapping[str, Any], allowed: list[str]) -> None:
    """Raise for keys that nobody reads."""
    for key in given:
        if key not in allowed:
            near = difflib.get_close_matches(key, allowed, 1)
            hint = f', did you mean {near[0]!r}?' if near else ''
            raise ValueError(
                f'{where} has the unknown key {key!r}{hint}; allowed are {allowed}'
            )
