"""What a file that cannot be loaded as a checkpoint is."""

from __future__ import annotations

import os
import zipfile

_HEAD = 512
# Unpacked, or converted by their own tools, these may hold weights.
_MAGIC = (
    (b'\x1f\x8b', 'a gzip archive; unpack it first'),
    (b'BZh', 'a bzip2 archive; unpack it first'),
    (b'\xfd7zXZ\x00', 'an xz archive; unpack it first'),
    (b'7z\xbc\xaf\x27\x1c', 'a 7z archive; unpack it first'),
    (b'\x89HDF\r\n\x1a\n', 'an HDF5 file, as Keras writes it'),
    (b'\x93NUMPY', 'an array of numpy'),
    (b'\x89PNG', 'a PNG image'),
    (b'\xff\xd8\xff', 'a JPEG image'),
    (b'II*\x00', 'a TIFF image'),
    (b'MM\x00*', 'a TIFF image'),
    (b'%PDF', 'a PDF document'),
)
_LFS = b'version https://git-lfs'
# The first bytes of an entry of a zip archive, and of an archive without any.
_ZIP = (b'PK\x03\x04', b'PK\x05\x06')
_WEIGHTS = ('.pth', '.pt', '.bin', '.ckpt', '.tar', '.safetensors')
_TAR, _TAR_AT = b'ustar', 257


def describe_file(path: str) -> str | None:
    """Recognise what cannot be a checkpoint, by its first bytes and its end.

    Args:
        path: An existing file.

    Returns:
        What was found, to complete "damaged, or no checkpoint: ..."; None for a file
        that may be what ``torch.save`` or safetensors wrote.

    Raises:
        OSError: The file cannot be read.
    """
    size = os.path.getsize(path)
    with open(path, 'rb') as file:
        head = file.read(_HEAD)
    if not head:
        return 'it is empty'
    if head.startswith(_LFS):
        return 'it is a pointer of git-lfs, not the file itself; run `git lfs pull`'
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return f'it is {kind}'
    if head[_TAR_AT:].startswith(_TAR):
        return 'it is a tar archive; unpack it first'
    if head.startswith(_ZIP) or _ZIP[0].startswith(head):
        return _describe_zip(path, size)
    text = _as_text(head)
    return f'it is text that begins with {text!r}' if text else None


def check_is_file(path: str) -> None:
    """Refuse a path that is no file.

    Args:
        path: Where a checkpoint is expected.

    Raises:
        IsADirectoryError: It is a directory; the text lists the checkpoints in it.
        FileNotFoundError: There is nothing.
    """
    if os.path.isdir(path):
        held = sorted(name for name in os.listdir(path) if name.endswith(_WEIGHTS))
        raise IsADirectoryError(
            f'{path}: a directory, expected a checkpoint file; '
            f'files of weights in it: {", ".join(held[:5]) or "none"}'
        )
    if not os.path.isfile(path):
        raise FileNotFoundError(
            f'{path}: no such checkpoint file; expected an existing .pth, .pt, .bin, '
            '.tar or .safetensors file'
        )


def _describe_zip(path: str, size: int) -> str | None:
    """Tell a cut or foreign zip archive from torch's, which holds ``*/data.pkl``."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile:
        return (
            f'it ends after {size:,} bytes without the central directory of a zip '
            'archive: it is cut off'
        )
    if any(name.endswith('data.pkl') for name in names):
        return None
    held = ', '.join(names[:3]) or 'nothing'
    return f'it is a zip archive of something else, which holds {held}'


def _as_text(head: bytes) -> str | None:
    """Return the first words of a text; None for binary data."""
    try:
        text = head.decode('utf-8')
    except UnicodeDecodeError as error:
        # A letter that the end cuts in two is no reason to take another encoding.
        cut = error.start >= _HEAD - 3
        text = head[: error.start].decode('utf-8') if cut else head.decode('latin-1')
    if not all(letter.isprintable() or letter in '\r\n\t' for letter in text):
        return None
    return ' '.join(text.split())[:60]
