"""Oriented boxes in the XML of PASCAL VOC with ``robndbox``, one file an image."""

from __future__ import annotations

import os
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from typing import Any, NoReturn

from s5_mm.io.path_table import PathTable
from s5_mm.registry import DATASETS

from ..pairing import none_missing
from .annotations import (
    AnnotationError,
    DegeneratePolicy,
    OrientedObjects,
    collect,
    refuse_degenerate,
    to_coordinates,
    unknown_class,
)
from .oriented_dataset import OrientedDataset

CORNERS = tuple(
    f'{axis}_{corner}'
    for corner in ('left_top', 'right_top', 'right_bottom', 'left_bottom')
    for axis in 'xy'
)
"""Tags of a ``robndbox``, in the order of the coordinates."""


class _PlainBuilder(ET.TreeBuilder):
    """Builder of a tree that refuses declarations, and so every entity of a file."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> NoReturn:
        """Refuse a document type before anything in it is read."""
        raise ValueError(
            f'it declares the document type {name!r}, expected plain XML without '
            'DOCTYPE and entities'
        )


def read_voc_xml(
    path: str, classes: Sequence[str], degenerate: DegeneratePolicy = 'raise'
) -> tuple[OrientedObjects, tuple[int, int] | None]:
    """Read the boxes of one image.

    Each ``object`` has a ``name``, a ``robndbox`` with the tags :data:`CORNERS` and,
    where it is known, ``difficult``.  Names are compared without case: owners write
    ``Expressway-Service-area`` in files and lower case in lists.

    Args:
        path: The file.
        classes: Names of the classes, in the order of their ids.
        degenerate: ``'raise'`` refuses boxes without area; otherwise they are
            returned, for :class:`BoxRules` to judge.

    Returns:
        Corners, labels and difficulty, in the order of the file; height and width of
        the image in pixels, None without ``size``.

    Raises:
        FileNotFoundError: If there is no such file.
        AnnotationError: If the file is malformed, lacks a tag, names an unknown class
            or gives a box without area; the file and the object are named.
    """
    ids = {name.lower(): label for label, name in enumerate(classes)}
    root = _parse(path)
    corners, labels, difficulty, places = [], [], [], []
    for number, item in enumerate(root.iterfind('object'), 1):
        where = f'object {number}'
        name = _text(item, 'name', path, where)
        if name.lower() not in ids:
            raise unknown_class(name, classes, path, where)
        where = f'{where} ({name})'
        box = item.find('robndbox')
        if box is None:
            tags = ', '.join(child.tag for child in item)
            raise AnnotationError(
                path, f'{where}: there is no <robndbox>, found {tags}'
            )
        words = [_text(box, tag, path, f'{where}, robndbox') for tag in CORNERS]
        corners.append(to_coordinates(words, path, where))
        labels.append(ids[name.lower()])
        difficult = (item.findtext('difficult') or '0').strip()
        difficulty.append(_whole(difficult, 0, path, f'{where}: <difficult>'))
        places.append(where)
    objects = collect(corners, labels, difficulty)
    if degenerate == 'raise':
        refuse_degenerate(objects, path, places)
    return objects, _size(root, path)


def _parse(path: str) -> ET.Element:
    """Parse a file as data: nothing in it is expanded or fetched."""
    try:
        return ET.parse(path, ET.XMLParser(target=_PlainBuilder())).getroot()
    except ET.ParseError as error:
        raise AnnotationError(path, f'malformed XML ({error})') from error
    except ValueError as error:
        raise AnnotationError(path, str(error)) from error


def _text(node: ET.Element, tag: str, path: str, where: str) -> str:
    """Get what is written in a tag, which must be there."""
    text = (node.findtext(tag) or '').strip()
    if not text:
        problem = 'no' if node.find(tag) is None else 'an empty'
        raise AnnotationError(
            path,
            f'{where}: there is {problem} <{tag}>, found '
            f'{", ".join(child.tag for child in node) or "nothing"}',
        )
    return text


def _whole(text: str, least: int, path: str, what: str) -> int:
    """Understand a whole number."""
    if not text.isdecimal() or int(text) < least:
        raise AnnotationError(
            path, f'{what} is {text!r}, expected a whole number of at least {least}'
        )
    return int(text)


def _size(root: ET.Element, path: str) -> tuple[int, int] | None:
    """Read height and width of the image, where they are written."""
    size = root.find('size')
    if size is None:
        return None
    height, width = (
        _whole(_text(size, tag, path, 'size'), 1, path, f'size: <{tag}>')
        for tag in ('height', 'width')
    )
    return height, width


@DATASETS.register_module()
class VocXmlDataset(OrientedDataset):
    """Images with oriented boxes in VOC's XML.

    Unlike mmrotate's ``DIORDataset`` it takes several lists, images of any suffix and
    files without ``size``, whose sides the host swaps.

    Args:
        ann_file: List of images, or several lists that are put together; a line is a
            name without suffix.  Empty: all images of the folder.
        ann_subdir: Folder of the XML files, relative to ``data_root``; None: there
            are no annotations and every sample has zero instances.
        **kwargs: As of :class:`OrientedDataset`.

    Raises:
        FileNotFoundError: If a folder or a file is missing.
        ValueError: If an argument or a file is not as it is expected.
    """

    ann_file: str | Sequence[str]

    def __init__(
        self,
        ann_file: str | Sequence[str] = '',
        ann_subdir: str | None = 'Annotations',
        **kwargs: Any,
    ) -> None:
        self.ann_subdir = ann_subdir
        super().__init__(ann_file=ann_file, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Read every annotation.

        Returns:
            One dict an image, in the order of the lists or sorted by name.
        """
        images = self.find_images()
        names = self._listed() if self.ann_file else dict.fromkeys(images.stems)
        paths = {stem: images.path(stem, origin) for stem, origin in names.items()}
        if self.ann_subdir is None:
            return [self.describe(path) for path in paths.values()]
        xmls = {stem: os.path.join(self.ann_subdir, f'{stem}.xml') for stem in paths}
        missing = {stem for stem, xml in xmls.items() if not os.path.isfile(xml)}
        if self.missing_ann == 'raise':
            none_missing(
                [paths[stem] for stem in paths if stem in missing],
                f'{self.ann_subdir}: no *.xml',
                f'image(s) of {images.folder}',
                "; missing_ann='empty' takes them as images without objects",
            )
        return [
            self.describe(path) if stem in missing else self._entry(path, xmls[stem])
            for stem, path in paths.items()
        ]

    def _entry(self, image: str, xml: str) -> dict[str, Any]:
        """Describe one image with its file."""
        classes = self._metainfo['classes']
        objects, size = read_voc_xml(xml, classes, self.rules.degenerate)
        return self.describe(image, objects, xml, size)

    def _listed(self) -> dict[str, str]:
        """Read the lists: name -> place where it is listed."""
        names: dict[str, str] = {}
        for file in self.ann_file:
            table = PathTable.from_list(file)
            for row in range(len(table)):
                name = table.name(row)
                if name in names:
                    raise ValueError(
                        f'{file}: {name!r} is listed twice, first in {names[name]}; '
                        'expected each image once'
                    )
                names[name] = file
        return names

    def _join_prefix(self) -> None:
        """Put ``data_root`` before each list; the host takes one."""
        files = [self.ann_file] if isinstance(self.ann_file, str) else self.ann_file
        self.ann_file = ''
        super()._join_prefix()
        root = self.data_root or ''
        self.ann_file = [os.path.join(root, file) for file in files if file]
        if self.ann_subdir is not None:
            self.ann_subdir = os.path.join(root, self.ann_subdir)
