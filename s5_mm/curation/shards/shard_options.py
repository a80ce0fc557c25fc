"""How crops become files, and how many of them share a shard."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np

from s5_mm.io.images.fill import SMALL_POLICIES, SmallPolicy
from s5_mm.io.images.header import ImageHeader
from s5_mm.utils.argument_checks import check_choice, check_number

SHARD_FORMATS = ('png', 'webp', 'jpeg')
MIN_ENCODER_QUALITY = 95

ENCODER = f'OpenCV {cv2.__version__}'
"""The same pixels are the same bytes for the same one."""

# On crops of 512 px of eight aerial and satellite images, one thread: the averaging
# filter at level 1 takes 382 kB and 10 ms (4.2 ms to decode), OpenCV's default 490 kB
# and 8 ms, level 6 with all filters 382 kB and 50 ms; lossless WebP 246 kB and 122 ms.
_PNG = [cv2.IMWRITE_PNG_COMPRESSION, 1]
if hasattr(cv2, 'IMWRITE_PNG_FILTER'):  # OpenCV 4.12
    _PNG += [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_AVG]
_LOSSLESS_WEBP = 101


@dataclass(frozen=True)
class ShardOptions:
    """What decides the bytes of shards, besides the crops.

    Attributes:
        per_shard: Most crops of a shard; a million make 1,954 files of about 200 MB,
            somewhat more where sources hold many crops each.
        format: ``'png'`` or ``'webp'``, both lossless, or ``'jpeg'``, with its colours
            at full resolution.  A crop that is a whole JPEG or PNG keeps its bytes.
        quality: Of ``'jpeg'``, 95 to 100; None takes 95.
        seed: Decides the order of the sources.
        size: Side of the crops in pixels, as they were scanned.
        small: What fills crops of smaller images, as they were scanned.
        high_byte: Take the upper byte of 16-bit samples, as they were scanned.

    Raises:
        ValueError: If a value is not one of the allowed ones.
    """

    per_shard: int = 512
    format: str = 'png'
    quality: int | None = None
    seed: int = 0
    size: int = 512
    small: SmallPolicy = 'reflect'
    high_byte: bool = False

    def __post_init__(self) -> None:
        check_number('shards: per_shard', self.per_shard, 1)
        check_number('shards: size', self.size, 1)
        check_number('shards: seed', self.seed, 0)
        check_choice('shards: format', self.format, SHARD_FORMATS)
        check_choice('shards: small', self.small, SMALL_POLICIES)
        if self.quality is not None and self.format != 'jpeg':
            raise ValueError(
                f'shards: quality={self.quality} with format={self.format!r}, which is '
                "lossless; only 'jpeg' has one"
            )
        if self.quality is not None:
            check_number('shards: quality', self.quality, MIN_ENCODER_QUALITY, 100)

    @property
    def lossy(self) -> bool:
        """Whether pixels change."""
        return self.format == 'jpeg'

    @property
    def kind(self) -> str:
        """Name of the format as headers of images have it."""
        return self.format.upper()

    def record(self) -> dict[str, Any]:
        """Everything that decides the bytes, JSON."""
        return {**asdict(self), 'encoder': ENCODER}

    def keeps(self, header: ImageHeader) -> bool:
        """Tell whether an image is a crop as it is, so that its bytes can stay.

        Args:
            header: What its file declares.

        Returns:
            Whether it is a JPEG or PNG in 8-bit RGB that has the size of a crop.
        """
        return (
            header.format in ('JPEG', 'PNG')
            and (header.width, header.height) == (self.size, self.size)
            and (header.channels, header.bits, header.palette) == (3, 8, False)
        )

    def encode(self, pixels: np.ndarray) -> bytes:
        """Encode a crop.

        Args:
            pixels: uint8, (size, size, 3), RGB.

        Returns:
            The bytes of the file.
        """
        suffix, flags = self._encoder
        bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
        _, data = cv2.imencode(suffix, bgr, flags)
        return data.tobytes()

    @property
    def _encoder(self) -> tuple[str, list[int]]:
        """Suffix and flags for OpenCV."""
        if self.format == 'png':
            return '.png', _PNG
        if self.format == 'webp':
            return '.webp', [cv2.IMWRITE_WEBP_QUALITY, _LOSSLESS_WEBP]
        full = cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444
        quality = self.quality or MIN_ENCODER_QUALITY
        return '.jpg', [
            *(cv2.IMWRITE_JPEG_QUALITY, quality),
            *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, full),
        ]
