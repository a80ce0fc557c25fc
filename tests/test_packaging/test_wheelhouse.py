"""The wheelhouse: the script it holds, its torchvision, and its errors."""

import subprocess
import zipfile

import pytest

import wheelhouse
from s5_mm.cli.command import run_command


@pytest.mark.parametrize(
    ('version', 'cuda'),
    [('0.29.2+cu132', '13'), ('0.20.1+cu124', '12'), ('0.20.1', None)],
)
def test_cuda_of_torchvision(tmp_path, version, cuda):
    with zipfile.ZipFile(tmp_path / 'torchvision-0-x.whl', 'w') as archive:
        archive.writestr('torchvision/version.py', f"__version__ = '{version}'\n")
    assert wheelhouse.torchvision_cuda(tmp_path) == cuda


def test_install_script_is_bash_and_names_versions(tmp_path):
    script = tmp_path / 'install.sh'
    script.write_text(
        wheelhouse.INSTALL.format(python='3.12', torch='2.11', version=(3, 12))
    )
    subprocess.run(['bash', '-n', str(script)], check=True)
    text = script.read_text()
    assert '--no-index --no-deps' in text
    assert 'sys.version_info[:2] == (3, 12)' in text
    assert "startswith('2.11')" in text


def test_unknown_extra_fails_clearly(tmp_path, capsys):
    status = run_command(wheelhouse.main, ['--extras', 'moon', '--out', str(tmp_path)])
    assert status == 1
    error = capsys.readouterr().err
    assert error == 'wheelhouse.py: --extras moon: no requirements/moon.txt\n'
    assert not (tmp_path / 'py3.11-torch2.15').exists()
