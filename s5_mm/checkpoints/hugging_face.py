"""Checkpoints from the Hugging Face Hub: ``hf://OWNER/REPO/PATH``.

huggingface_hub (extra 'hub') downloads and caches them; mmengine has no such scheme.
"""

from __future__ import annotations

import os
import re
from typing import Any

from .safe_load import MapLocation, load_data_only

SCHEME = 'hf://'
_ADDRESS = re.compile(
    r'^hf://(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w.-]+))?/(?P<path>.+)$'
)


def parse_address(address: str) -> tuple[str, str | None, str]:
    """Split an address into its parts.

    Args:
        address: ``hf://OWNER/REPO/PATH`` or ``hf://OWNER/REPO@REVISION/PATH``.

    Returns:
        ``OWNER/REPO``, the revision (branch, tag or commit) or None, and the path in
        the repository.

    Raises:
        ValueError: It has another form, or leads out of the repository.
    """
    found = _ADDRESS.match(address)
    parts = re.split('[/@]', address.removeprefix(SCHEME))
    if not found or {'', '.', '..'} & {*parts}:
        raise ValueError(
            f'{address}: expected hf://OWNER/REPO/PATH or hf://OWNER/REPO@REVISION/PATH'
        )
    return found['repo'], found['revision'], found['path']


def download(address: str) -> str:
    """Download a file, or take it from huggingface_hub's cache.

    The processes of a distributed run may call this together: the library locks.

    Args:
        address: See :func:`parse_address`.

    Returns:
        Path of the file in the cache.

    Raises:
        ValueError: The address has another form.
        ImportError: huggingface_hub is not installed.
        FileNotFoundError: There is no such repository, revision or file.
        PermissionError: The repository is gated, and the token gives no access.
        ConnectionError: The Hub cannot be reached, and the file is not in the cache.
    """
    repo, revision, path = parse_address(address)
    try:
        from huggingface_hub import constants, errors, hf_hub_download
    except ImportError as error:
        raise ImportError(
            f"{address} needs huggingface_hub: pip install 's5_mm[hub]' ({error})"
        ) from error
    # The library reads it at its import only.
    server = os.environ.get('HF_ENDPOINT', constants.ENDPOINT).rstrip('/')
    try:
        return hf_hub_download(repo, path, revision=revision, endpoint=server)
    except errors.GatedRepoError as error:
        raise PermissionError(
            f'{address}: gated; accept the terms at {server}/{repo} and set HF_TOKEN'
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise FileNotFoundError(
            f'{address}: {server} has no repository {repo}, or it is private: set '
            'HF_TOKEN'
        ) from error
    except errors.RevisionNotFoundError as error:
        raise FileNotFoundError(
            f'{address}: {repo} has no revision {revision}'
        ) from error
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled) as error:
        reason = str(error.__cause__ or 'offline').partition('\n')[0]
        raise ConnectionError(
            f'{address}: not in the cache, and {server} cannot be reached ({reason}); '
            'download the file elsewhere and give its path, or set HF_ENDPOINT to a '
            'mirror'
        ) from error
    except errors.EntryNotFoundError as error:
        raise FileNotFoundError(f'{address}: {repo} has no file {path}') from error
    except errors.HfHubHTTPError as error:
        reason = str(error).partition('\n')[0]
        raise ConnectionError(f'{address}: {server} answers {reason}') from error


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
