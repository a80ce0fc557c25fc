"""What the demo has come to: pictures, curves and a page of Markdown."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from demo_budget import FULL
from demo_stages import Stage

from s5_mm.testing import METAINFO
from s5_mm.visualization import (
    colorize,
    grid,
    legend,
    plot_runs,
    prediction_panel,
    read_scalars,
)


@dataclass(frozen=True)
class Outcome:
    """A finished demo.

    Attributes:
        work_dir: Its directory, with a folder for every stage.
        data: The scenes.
        stages: Its trainings.
        state: By stage, its ``metrics`` and ``seconds``.
        scenes: Numbers of labelled, unlabelled and validation scenes.
        chosen: Number of unlabelled scenes that curation has chosen.
        iters: Iterations of the initial model and of what continues it.
        seed: Seed of scenes and trainings.
        size: Side of the scenes in pixels.
    """

    work_dir: Path
    data: Path
    stages: Sequence[Stage]
    state: Mapping[str, Mapping[str, Any]]
    scenes: Sequence[int]
    chosen: int
    iters: Sequence[int]
    seed: int
    size: int

    @property
    def pictures(self) -> Path:
        """Folder of the pictures."""
        return self.work_dir / 'pictures'

    def show(self) -> None:
        """Write pictures, curves and the summary, and print the table."""
        self.show_scenes()
        self.show_predictions()
        drawn = (self.work_dir / 'fixmatch').rglob('vis_image/pseudo_labels_*.png')
        if found := sorted(drawn, key=lambda path: int(path.stem.split('_')[-1])):
            shutil.copyfile(found[-1], self.pictures / 'pseudo_labels.png')
        runs = {
            stage.title: [self.work_dir / stage.name]
            for stage in self.stages
            if stage.start
        }
        keys = ['loss_sup', 'mask_ratio', 'mIoU']
        plot_runs(runs, keys, self.pictures / 'curves.png', window=3)
        text = self.summary()
        (self.work_dir / 'summary.md').write_text(text, encoding='utf-8')
        print(f'\n{text}\nwritten to {self.work_dir}/summary.md and {self.pictures}/')

    def show_scenes(self, count: int = 8) -> None:
        """Draw some labelled scenes above their masks and boxes."""
        cells: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
        for path in sorted((self.data / 'img_dir/train').iterdir())[:count]:
            image = read(path)
            name = path.name
            boxes = self.data / 'annfiles/train' / name.replace('.png', '.txt')
            for line in boxes.read_text(encoding='utf-8').splitlines():
                corners = np.array(line.split()[:8], dtype=float).reshape(4, 2)
                outline = [np.rint(corners * 16).astype(np.int32)]
                cv2.polylines(image, outline, True, (255, 60, 60), 1, cv2.LINE_AA, 4)
            cells[0].append(image)
            mask = read(self.data / 'ann_dir/train' / name, gray=True)
            cells[1].append(colorize(mask, METAINFO['palette']))
        footer = legend(METAINFO['classes'], METAINFO['palette'], self.size * count)
        write(
            self.pictures / 'scenes.png',
            grid(cells, tile_size=self.size, footer=footer),
        )

    def show_predictions(self, count: int = 6) -> None:
        """Draw the first validation scenes beside truth and predictions."""
        names = sorted(p.name for p in (self.data / 'img_dir/val').iterdir())[:count]
        images = [read(self.data / 'img_dir/val' / name) for name in names]
        folders = [self.data / 'ann_dir/val']
        folders += [self.work_dir / stage.name / 'test/masks' for stage in self.stages]
        masks = [
            [read(folder / name, gray=True) for folder in folders] for name in names
        ]
        titles = ['image', 'truth', *(stage.title for stage in self.stages)]
        panel = prediction_panel(images, masks, titles, **METAINFO)
        write(self.pictures / 'predictions.png', panel)

    def summary(self) -> str:
        """Put the results into words, as Markdown."""
        labelled, unlabelled, val = self.scenes
        names = METAINFO['classes']
        head = ['', 'mIoU', *names, 'seconds']
        rows = [head, ['---'] * len(head)]
        for stage in self.stages:
            metrics = self.state[stage.name]['metrics']
            numbers = [metrics['mIoU'], *(metrics.get(f'IoU/{n}', 0.0) for n in names)]
            seconds = self.state[stage.name]['seconds']
            rows.append([stage.title, *(f'{n:.1f}' for n in numbers), f'{seconds:.0f}'])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        table = '\n'.join(
            '| ' + ' | '.join(map(str.ljust, row, widths)) + ' |' for row in rows
        )
        ours, theirs = (
            self.state[name]['metrics']['mIoU'] for name in ('fixmatch', 'supervised')
        )
        ratios = read_scalars(self.work_dir / 'fixmatch').get('mask_ratio', {})
        half = self.iters[1] / 2
        late = [ratio for step, ratio in ratios.items() if step > half]
        ratio = sum(late) / max(len(late), 1)
        alive = 'alive' if ratio > 0.2 else 'NOT alive (0.2 or less)'
        if self.iters[0] < FULL[0] or self.iters[1] < FULL[1]:
            alive += (
                f'.\nThe whole demo has {FULL[0]} and {FULL[1]} iterations; so few say '
                'little. `--minutes 60` gives\nit more time'
            )
        return f"""# Supervised-only and FixMatch at equal iterations

Both start from the same initial model ({self.iters[0]} iterations) and see
{labelled} labelled scenes for {self.iters[1]} iterations more; FixMatch sees
{self.chosen} of {unlabelled} unlabelled scenes as well, which that model has chosen
([report](curation.html)). IoU in per cent on {val} validation scenes, seed {self.seed}:

{table}

**Supervised-only {theirs:.2f} mIoU, FixMatch {ours:.2f} mIoU ({ours - theirs:+.2f}).**
Mask ratio in the second half {ratio:.2f}: the unlabelled branch is {alive}.

![validation scenes](pictures/predictions.png)
![pseudo-labels](pictures/pseudo_labels.png)
![curves](pictures/curves.png)
![labelled scenes](pictures/scenes.png)
"""


def read(path: Path, gray: bool = False) -> np.ndarray:
    """Read a PNG as uint8 RGB (H, W, 3), or a mask (H, W)."""
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED if gray else cv2.IMREAD_COLOR)
    return image if gray else np.ascontiguousarray(image[..., ::-1])


def write(path: Path, image: np.ndarray) -> None:
    """Write uint8 RGB (H, W, 3) as PNG."""
    cv2.imwrite(str(path), image[..., ::-1])
