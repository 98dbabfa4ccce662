"""Memory and time of `bakeoff predict` on large images, by an experiment whose geometry is `tile`.

    python benchmarks/tiles.py ROOT EXPERIMENT [--sides 2000 8000 20000]

draws a colour TIFF of every side and predicts it by a process of its own. Time is also given in units of
`import torch`, measured in the same minute.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
import tifffile
from processes import measured


def main() -> None:
    """Print a table, a row a side."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path)
    parser.add_argument("experiment")
    parser.add_argument("--sides", type=int, nargs="+", default=[2000, 8000, 20000])
    arguments = parser.parse_args()
    print("| side, pixels | image, MiB | peak memory, MiB | seconds | imports of torch |\n|---|---|---|---|---|")
    for side in arguments.sides:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "image.tif"
            draw(file, side)
            torch, _ = measured([sys.executable, "-c", "import torch"], arguments.root)
            command = [sys.executable, "-m", "bakeoff.cli", "predict", arguments.experiment, str(file)]
            seconds, peak = measured([*command, "--out", f"{folder}/out"], arguments.root)
        print(
            f"| {side} | {side**2 * 3 / 2**20:.0f} | {peak:.0f} | {seconds:.0f} | {seconds / torch:.0f} |", flush=True
        )


def draw(file: Path, side: int) -> None:
    """Bright discs on noise, the same 500 pixels over and over."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:500, :500]
    tile = rng.integers(0, 60, (500, 500, 3), np.uint8)
    for _ in range(40):
        top, left = rng.integers(20, 480, 2)
        tile[(rows - top) ** 2 + (columns - left) ** 2 < 150] += 120
    repeats = -(-side // 500)
    tifffile.imwrite(file, np.tile(tile, (repeats, repeats, 1))[:side, :side], photometric="rgb")


if __name__ == "__main__":
    main()
