"""Where the pixels of an image are: a file, a window of one, a member of a shard."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ..open_files import OpenFiles
from .fill import SmallPolicy, fill_up
from .header import ImageError, ImageHeader
from .layout import AlphaPolicy, GreyPolicy
from .raster import Window, check_window
from .read import NoDataNote, decode_header, decode_image, read_header, read_image
from .sample_depth import SampleRange

TAR_BLOCK = 512
"""Bytes of the header of a member, and what members are padded to."""


class ImageSource(Protocol):
    """What an image is read from.

    Attributes:
        name: How it is called in messages.
    """

    @property
    def name(self) -> str:
        """How it is called in messages."""

    def read_image(
        self,
        alpha: AlphaPolicy = 'error',
        grey: GreyPolicy = 'error',
        sample_range: SampleRange | None = None,
        note: NoDataNote | None = None,
    ) -> np.ndarray:
        """Read the pixels, uint8, (H, W, 3), RGB, as :func:`.read.read_image`.

        Crops in shards have 8 bits already, and no use for ``sample_range``.
        """

    def read_header(self) -> ImageHeader:
        """Read what the image declares, as :func:`.read.read_header`."""


@dataclass(frozen=True)
class ImageFile:
    """A whole file.

    Attributes:
        name: Its path.
    """

    name: str

    def read_image(
        self,
        alpha: AlphaPolicy = 'error',
        grey: GreyPolicy = 'error',
        sample_range: SampleRange | None = None,
        note: NoDataNote | None = None,
    ) -> np.ndarray:
        """See :class:`ImageSource`."""
        return read_image(self.name, alpha, grey, None, sample_range, note)

    def read_header(self) -> ImageHeader:
        """See :class:`ImageSource`."""
        return read_header(self.name)


@dataclass(frozen=True)
class ImageWindow:
    """A window of a file.

    Attributes:
        name: The file; the one to mend is the same for all of its windows.
        window: x, y, width and height in pixels.
        size: Side of a crop, which a smaller window is filled up to; None leaves it
            as it is.
        small: What it is filled with.
    """

    name: str
    window: Window
    size: int | None = None
    small: SmallPolicy = 'reflect'

    def read_image(
        self,
        alpha: AlphaPolicy = 'error',
        grey: GreyPolicy = 'error',
        sample_range: SampleRange | None = None,
        note: NoDataNote | None = None,
    ) -> np.ndarray:
        """See :class:`ImageSource`."""
        pixels = read_image(self.name, alpha, grey, self.window, sample_range, note)
        return pixels if self.size is None else fill_up(pixels, self.size, self.small)

    def read_header(self) -> ImageHeader:
        """See :class:`ImageSource`; width and height are those of the pixels read."""
        header = read_header(self.name, whole=False)
        check_window(self.window, header.width, header.height, self.name)
        width, height = self.window[2:]
        if self.size is not None:
            width = height = self.size
        return header._replace(width=width, height=height)


@dataclass(frozen=True)
class ShardMember:
    """A file in a tar archive.

    Attributes:
        shard: Path of the archive.
        member: Name of the file in it.
        offset: Where its bytes start, behind the header of 512 bytes.
        num_bytes: Number of them.
        files: Opens the archive.
    """

    shard: str
    member: str
    offset: int
    num_bytes: int
    files: OpenFiles

    @property
    def name(self) -> str:
        """See :class:`ImageSource`: ``shard-000012.tar:0123456789abcdef.png``."""
        return f'{self.shard}:{self.member}'

    def read_image(
        self,
        alpha: AlphaPolicy = 'error',
        grey: GreyPolicy = 'error',
        sample_range: SampleRange | None = None,
        note: NoDataNote | None = None,
    ) -> np.ndarray:
        """See :class:`ImageSource`."""
        return decode_image(self.read(), self.name, alpha, grey, note)

    def read_header(self) -> ImageHeader:
        """See :class:`ImageSource`."""
        return decode_header(self.read(), self.name)

    def read(self) -> bytes:
        """Read its bytes, and see from the header before them that they are its own.

        Raises:
            ImageError: If the archive is missing, truncated or another one.
        """
        start, end = self.offset - TAR_BLOCK, self.offset + self.num_bytes
        try:
            # Two reads cost less than taking the header off the bytes, a copy of them.
            header = self.files.read(self.shard, start, TAR_BLOCK)
            data = self.files.read(self.shard, self.offset, self.num_bytes)
        except OSError as error:
            raise ImageError(
                self.name, f'the shard cannot be read ({error.strerror})'
            ) from error
        if len(header) + len(data) != end - start:
            raise ImageError(
                self.name,
                f'truncated shard: it ends before the end of this member at byte {end}',
            )
        found = header[: header.find(b'\0')]
        if found != self.member.encode():
            raise ImageError(
                self.name,
                f'at byte {start} the shard holds {found[:40]!r}; the index is of '
                'another version of it',
            )
        return data
