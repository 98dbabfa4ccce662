"""Time and memory of `bakeoff add` on folders of many images.

    python benchmarks/add.py [--images 1000 10000]

draws JPEGs of 256 x 192 pixels with PNG masks, and adds them in a project of their own. Time is also given in units of
`import torch`, measured in the same minute.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
from processes import measured

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Print a table, a row a folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs="+", default=[1000, 10_000])
    print("| images | seconds | imports of torch | peak memory, MiB |\n|---|---|---|---|")
    for count in parser.parse_args().images:
        with tempfile.TemporaryDirectory() as place:
            project = Path(place) / "project"
            project.mkdir()
            shutil.copy(ROOT / "params.yaml", project)
            draw(Path(place) / "mine", count)
            torch, _ = measured([sys.executable, "-c", "import torch"], project)
            command = [sys.executable, "-m", "bakeoff.cli", "add", "../mine", "--no-pretrained"]
            seconds, peak = measured(command, project)
        print(f"| {count} | {seconds:.1f} | {seconds / torch:.1f} | {peak:.0f} |", flush=True)


def draw(folder: Path, count: int) -> None:
    """Blurred noise, no two images alike, and a square as the mask."""
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(count):
        small = rng.integers(0, 256, (12, 16, 3), np.uint8)
        mask = np.zeros((192, 256), np.uint8)
        top, left = rng.integers(0, 120, 2)
        mask[top : top + 60, left : left + 80] = 255
        cv2.imwrite(str(folder / "images" / f"{number:05}.jpg"), cv2.resize(small, (256, 192)))
        cv2.imwrite(str(folder / "masks" / f"{number:05}.png"), mask)


if __name__ == "__main__":
    main()
