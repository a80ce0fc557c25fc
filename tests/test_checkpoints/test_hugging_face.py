"""hf:// addresses, against a server that has the Hub's paths."""

import functools
import hashlib
import http.server
import os
import re
import sys
import threading
from pathlib import Path

import pytest
import torch
from mmengine.runner import CheckpointLoader

from s5_mm.checkpoints import (
    UnsafeCheckpointError,
    install_safe_loader,
    load_address,
    write_safetensors,
)
from s5_mm.checkpoints.hugging_face import download, parse_address
from s5_mm.models.backbones import ViT

from .test_loading import SIZES, _mae

constants = pytest.importorskip(
    'huggingface_hub.constants', reason="pip install 's5_mm[hub]'"
)

#: Repositories that the server refuses: status and X-Error-Code.
ERRORS = {
    'nothing': (401, 'RepoNotFound'),
    'gated': (403, 'GatedRepo'),
    'broken': (403, 'Other'),
}


class Call:
    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (self.mark,)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """Folder of the files of someone/weights at main, and the downloads so far."""
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        """Answers as the Hub does; what is wrong is in the header X-Error-Code."""

        def log_message(self, *args):
            pass

        def send_head(self):
            owner, repo, _, revision, *_ = self.path.strip('/').split('/')
            self.headers_of_hub = {
                'ETag': f'"{hashlib.sha1(self.path.encode()).hexdigest()}"',
                'X-Repo-Commit': hashlib.sha1(revision.encode()).hexdigest(),
            }
            if self.command == 'GET':
                asked.append(self.path)
            status, code = ERRORS.get(repo, (404, ''))
            if not code and not Path(served, owner, repo, 'resolve', revision).is_dir():
                code = 'RevisionNotFound'
            elif not code and not Path(served, self.path.strip('/')).is_file():
                code = 'EntryNotFound'
            if not code:
                return super().send_head()
            self.headers_of_hub = {'X-Error-Code': code}
            self.send_error(status)
            return None

        def end_headers(self):
            for name, value in self.headers_of_hub.items():
                self.send_header(name, value)
            super().end_headers()

    served = tmp_path / 'served'
    folder = served / 'someone/weights/resolve/main'
    folder.mkdir(parents=True)
    server = http.server.ThreadingHTTPServer(
        ('127.0.0.1', 0), functools.partial(Handler, directory=str(served))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv('HF_ENDPOINT', f'http://127.0.0.1:{server.server_port}/')
    monkeypatch.setattr(constants, 'HF_HUB_CACHE', str(tmp_path / 'hub'))
    schemes = dict(CheckpointLoader._schemes)
    install_safe_loader()
    yield folder, asked
    CheckpointLoader._schemes = schemes
    server.shutdown()
    server.server_close()


def test_mmengines_loader_and_init_cfg_take_the_address(hub):
    folder, asked = hub
    (folder / 'sub').mkdir()
    torch.save({'model': _mae(grid=4)}, folder / 'sub/mae.pth')
    address = 'hf://someone/weights/sub/mae.pth'
    loaded = CheckpointLoader.load_checkpoint(address, map_location='cpu')
    assert torch.equal(loaded['model']['cls_token'], _mae()['cls_token'])
    model = ViT(
        SIZES, img_size=64, init_cfg=dict(type='Pretrained', checkpoint=address)
    )
    model.init_weights()
    assert torch.equal(model.layers[1].ln1.bias, _mae()['blocks.1.norm1.bias'])
    # Fetched once.
    assert asked == ['/someone/weights/resolve/main/sub/mae.pth']


def test_safetensors_and_revisions(hub):
    folder, asked = hub
    other = folder.parent / 'v1.0'
    other.mkdir()
    write_safetensors(folder / 'a.safetensors', {'w': torch.zeros(2)})
    write_safetensors(other / 'a.safetensors', {'w': torch.ones(2)})
    assert load_address('hf://someone/weights/a.safetensors')['w'].sum() == 0
    assert load_address('hf://someone/weights@v1.0/a.safetensors')['w'].sum() == 2
    assert len(asked) == 2


def test_code_is_refused_and_not_run(hub, tmp_path):
    folder, _ = hub
    mark = tmp_path / 'executed'
    torch.save({'model': Call(str(mark))}, folder / 'evil.pth')
    named = 'evil.pth: refused'
    with pytest.raises(UnsafeCheckpointError, match=named):
        CheckpointLoader.load_checkpoint('hf://someone/weights/evil.pth')
    assert not mark.exists()


@pytest.mark.parametrize(
    ('address', 'kind', 'text'),
    [
        (
            'someone/weights/x.pth',
            FileNotFoundError,
            'someone/weights has no file x.pth',
        ),
        (
            'someone/weights@v9/x.pth',
            FileNotFoundError,
            'someone/weights has no revision v9',
        ),
        (
            'someone/nothing/x.pth',
            FileNotFoundError,
            'http.* has no repository someone/nothing, or it is private: set HF_TOKEN',
        ),
        (
            'someone/gated/x.pth',
            PermissionError,
            'gated; accept the terms at http.*/someone/gated and set HF_TOKEN',
        ),
        ('someone/broken/x.pth', ConnectionError, 'not in the cache, and http.*403 '),
    ],
)
def test_what_the_server_has_not_or_does_not_give(hub, address, kind, text):
    with pytest.raises(kind, match=f'^hf://{re.escape(address)}: {text}') as caught:
        download(f'hf://{address}')
    assert '\n' not in str(caught.value)
    assert hub[1] == []


def test_offline(hub, monkeypatch):
    torch.save({'w': torch.ones(1)}, hub[0] / 'y.pth')
    path = download('hf://someone/weights/y.pth')
    monkeypatch.setattr(constants, 'HF_HUB_OFFLINE', True)
    assert download('hf://someone/weights/y.pth') == path  # from the cache
    with pytest.raises(
        ConnectionError, match='not in the cache, and .* cannot be reached .*mirror'
    ):
        download('hf://someone/weights/z.pth')


def test_without_the_library(monkeypatch):
    monkeypatch.setitem(sys.modules, 'huggingface_hub', None)
    needed = r"^hf://a/b/c.pth needs huggingface_hub: pip install 's5_mm\[hub\]'"
    with pytest.raises(ImportError, match=needed):
        download('hf://a/b/c.pth')


@pytest.mark.parametrize(
    'address',
    [
        'hf://someone/weights',
        'hf://someone/weights/',
        'hf://weights.pth',
        'hf://someone/weights/../../x.pth',
        'hf://../weights/x.pth',
        'hf://someone/weights//x.pth',
        'hf://someone/weights@../x.pth',
    ],
)
def test_addresses_of_another_form(address):
    with pytest.raises(ValueError, match=f'^{re.escape(address)}: expected hf://OWNER'):
        parse_address(address)


def test_parts_of_an_address():
    assert parse_address('hf://a/b-c/d/e.pth') == ('a/b-c', None, 'd/e.pth')
    assert parse_address('hf://a/b@2f1/e.pth') == ('a/b', '2f1', 'e.pth')
