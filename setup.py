"""Packaging of ``s5_mm``: requirement files, extras, and the ``.mim`` folder.

``mim train s5_mm ...`` and ``s5_mm::...`` config bases look for ``tools`` and
``configs`` in ``s5_mm/.mim``. A wheel gets copies there; an editable install gets
symbolic links, so an edited config is the one that runs.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
PACKAGE = 's5_mm'
MIM_PARTS = ('tools', 'configs', 'data_curation', 'model-index.yml')
# `benchmarks` run from a checkout; `own` are the configs of who builds the wheel.
IGNORED = shutil.ignore_patterns('__pycache__', '*.py[cod]', '.*', 'benchmarks', 'own')


def read_version() -> str:
    """Read ``__version__`` without importing the package and its requirements."""
    scope: dict[str, str] = {}
    exec((ROOT / PACKAGE / 'version.py').read_text(encoding='utf-8'), scope)
    return scope['__version__']


def read_requirements(name: str) -> list[str]:
    """Read one file of ``requirements/``, without its comments.

    Args:
        name: File name without ``.txt``.

    Returns:
        One PEP 508 requirement an entry.
    """
    text = (ROOT / 'requirements' / f'{name}.txt').read_text(encoding='utf-8')
    lines = (line.partition('#')[0].strip() for line in text.splitlines())
    return [line for line in lines if line]


def mim_parts() -> list[Path]:
    """List what belongs into ``.mim`` and exists in this source tree."""
    return [ROOT / part for part in MIM_PARTS if (ROOT / part).exists()]


def copy_parts(mim: Path) -> None:
    """Copy the parts of ``.mim`` into a new folder of a wheel."""
    for part in mim_parts():
        copy = mim / part.name
        if part.is_dir():
            shutil.copytree(part, copy, ignore=IGNORED)
        else:
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(part, copy)


class BuildPyWithMim(build_py):
    """``build_py`` that fills ``s5_mm/.mim`` and leaves nothing stale behind."""

    def run(self) -> None:
        """Build the package, then copy (wheel) or link (editable) the extras."""
        if self.editable_mode:
            super().run()
            self._link(ROOT / PACKAGE / '.mim')
            return
        # pip builds in the source tree: a module deleted since the last build
        # would otherwise survive in build/lib and travel in the wheel.
        target = Path(self.build_lib) / PACKAGE
        shutil.rmtree(target, ignore_errors=True)
        super().run()
        copy_parts(target / '.mim')

    @staticmethod
    def _link(mim: Path) -> None:
        """Make ``mim`` a folder of relative links to the parts in the tree.

        Raises:
            OSError: If the file system cannot hold symbolic links.
        """
        shutil.rmtree(mim, ignore_errors=True)
        mim.mkdir(parents=True)
        for part in mim_parts():
            (mim / part.name).symlink_to(os.path.relpath(part, mim))


class BdistWheelWithMim(bdist_wheel):
    """``bdist_wheel`` that lets ``mim`` find us.

    onedl-mim 0.5.1 takes the folder of the first file in the installed record for the
    package. pip sorts the record, so that of ``s5_mm`` begins with the metadata folder
    (``s5_mm-...`` sorts before ``s5_mm/``), and ``mim train`` looks for ``.mim`` there.
    """

    def write_wheelfile(self, wheelfile_base: str, *args: str, **kwargs: str) -> None:
        """Write the metadata, with the parts of ``.mim`` beside it."""
        super().write_wheelfile(wheelfile_base, *args, **kwargs)
        # An editable wheel passes here too, from elsewhere; mim uses its checkout.
        if Path(wheelfile_base).is_relative_to(self.bdist_dir):
            copy_parts(Path(wheelfile_base) / '.mim')


# `gpu` stays out of `all`: faiss-cpu and faiss-gpu write the same folder.
IN_ALL = ('det', 'curation', 'geo', 'timm', 'hub', 'tests', 'docs')
EXTRAS = {name: read_requirements(name) for name in (*IN_ALL, 'gpu', 'mminstall')}
EXTRAS['all'] = sorted({line for name in IN_ALL for line in EXTRAS[name]})

readme = ROOT / 'README.md'
setup(
    name=PACKAGE,
    version=read_version(),
    description='S5 for OpenMMLab: scalable semi-supervised semantic segmentation '
    'of remote sensing images, from curation to multi-dataset fine-tuning',
    long_description=readme.read_text(encoding='utf-8') if readme.exists() else '',
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    license_files=['LICENSE'],
    keywords='remote sensing, semi-supervised, semantic segmentation, OpenMMLab',
    classifiers=[
        'Intended Audience :: Science/Research',
        'Operating System :: POSIX :: Linux',
        'Programming Language :: Python :: 3.10',
        'Programming Language :: Python :: 3.11',
        'Programming Language :: Python :: 3.12',
        'Topic :: Scientific/Engineering :: Image Recognition',
    ],
    # No upper bound: the tested range is in the classifiers, and `make` keeps to it.
    python_requires='>=3.10',
    packages=find_packages(include=[PACKAGE, f'{PACKAGE}.*']),
    package_data={
        PACKAGE: [
            'py.typed',
            'checkpoints/formats/*.json',
            'curation/report/*.jinja',
        ]
    },
    include_package_data=False,
    install_requires=read_requirements('runtime'),
    extras_require=EXTRAS,
    cmdclass={'bdist_wheel': BdistWheelWithMim, 'build_py': BuildPyWithMim},
    zip_safe=False,
)
