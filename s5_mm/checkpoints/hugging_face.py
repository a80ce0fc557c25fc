"""Checkpoints from the Hugging Face Hub: ``hf://OWNER/REPO/PATH``.

A plain download of the file's address, so that no further package is needed; mmengine
has no such scheme.  Public repositories only.
"""

from __future__ import annotations

import os
import re
from typing import Any, NamedTuple
from urllib.error import HTTPError, URLError
from urllib.parse import quote

import torch
from mmengine.dist import barrier, get_local_rank

from .safe_load import MapLocation, load_data_only

SCHEME = 'hf://'
_ADDRESS = re.compile(
    r'^hf://(?P<owner>[\w.-]+)/(?P<repo>[\w.-]+)(?:@(?P<revision>[\w.-]+))?/(?P<path>.+)$'
)
#: As in huggingface_hub: another server, e.g. a mirror.
_ENDPOINT, _DEFAULT_ENDPOINT = 'HF_ENDPOINT', 'https://huggingface.co'


class HubFile(NamedTuple):
    """A file in a repository of the Hub.

    Attributes:
        owner: User or organisation.
        repo: Repository.
        revision: Branch, tag or commit.
        path: Path in the repository, with ``/``.
    """

    owner: str
    repo: str
    revision: str
    path: str


def parse_address(address: str) -> HubFile:
    """Take an address apart.

    Args:
        address: ``hf://OWNER/REPO/PATH`` or ``hf://OWNER/REPO@REVISION/PATH``.

    Returns:
        Its parts; the revision is 'main' where none is given.

    Raises:
        ValueError: It has another form, or leads out of the repository.
    """
    found = _ADDRESS.match(address)
    parts = found['path'].split('/') if found else ['']
    names = [found[key] for key in ('owner', 'repo', 'revision')] if found else []
    if not found or {'', '.', '..'} & {*parts, *names}:
        raise ValueError(
            f'{address}: expected hf://OWNER/REPO/PATH or hf://OWNER/REPO@REVISION/PATH'
        )
    revision = found['revision'] or 'main'
    return HubFile(found['owner'], found['repo'], revision, found['path'])


def download(address: str) -> str:
    """Fetch a file once; later calls take the copy.

    In a distributed run the first process of each machine fetches it.  A copy of a
    branch is not renewed: name a commit, or remove it.

    Args:
        address: See :func:`parse_address`.

    Returns:
        Path of the copy, in ``torch.hub``'s directory.

    Raises:
        ValueError: The address has another form.
        FileNotFoundError: The server has no such file.
        ConnectionError: The server cannot be reached, or answers with an error.
    """
    file = parse_address(address)
    folder = os.path.join(torch.hub.get_dir(), 'checkpoints', 'hf')
    path = os.path.join(folder, *file[:3], *file.path.split('/'))
    try:
        if get_local_rank() == 0 and not os.path.exists(path):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            _fetch(file, address, path)
    finally:
        barrier()  # the other processes wait here, also for an error
    return path


def _fetch(file: HubFile, address: str, path: str) -> None:
    """Download a file to where it is kept."""
    server = os.environ.get(_ENDPOINT, _DEFAULT_ENDPOINT).rstrip('/')
    place = quote(f'{file.owner}/{file.repo}/resolve/{file.revision}/{file.path}')
    url = f'{server}/{place}'
    try:
        torch.hub.download_url_to_file(url, path, progress=os.isatty(0))
    except HTTPError as error:
        if error.code == 404:
            raise FileNotFoundError(
                f'{address}: no such file; {url} was asked for'
            ) from error
        raise ConnectionError(
            f'{address}: {url} answers {error.code} {error.reason}; only public '
            'repositories can be read'
        ) from error
    except URLError as error:
        raise ConnectionError(
            f'{address}: {server} cannot be reached ({error.reason}); download the '
            f'file elsewhere and give its path, or set {_ENDPOINT} to a mirror'
        ) from error


def load_hugging_face(
    filename: str, map_location: MapLocation = None
) -> dict[str, Any]:
    """Serve mmengine's checkpoint loader for files on the Hub.

    Args:
        filename: See :func:`parse_address`.
        map_location: Where the tensors go; ``None`` keeps them where they were saved.

    Returns:
        As :func:`load_data_only`.
    """
    return load_data_only(download(filename), map_location)
