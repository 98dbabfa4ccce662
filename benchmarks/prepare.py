"""Speed and peak memory of prepare: `python benchmarks/prepare.py [ARCHIVE] [--large N]`.

Without an archive synthetic X-rays are drawn. `--large N` adds the memory bound's hard case: N X-rays of 20 megapixels,
as Montgomery's are, in RGB, and one of 99 megapixels with transparency.
"""

import argparse
import io
import json
import logging
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np
from bakeoff.datasets.lungs import synthetic
from bakeoff.datasets.lungs.source import FILES, IMAGES, MASKS
from bakeoff.provenance import manifest
from PIL import Image

SPLIT = {"name": "stratified", "train": 0.7, "validation": 0.15, "test": 0.15, "seed": 0}


def write_large(path: Path, count: int) -> None:
    """An archive of `count` RGB X-rays of 4892 x 4020 and one RGBA X-ray of 9999 x 9900 pixels."""
    shades = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(1, count + 2):
            size, mode = ((4892, 4020), "RGB") if number <= count else ((9999, 9900), "RGBA")
            picture = (
                Image.fromarray(np.roll(shades, number * 7, axis=0))
                .convert(mode)
                .resize(size, Image.Resampling.BICUBIC)
            )
            mask = Image.fromarray((np.indices((size[1], size[0]))[1] % 1000 > 500).astype(np.uint8) * 255)
            for folder, image in ((IMAGES, picture), (MASKS, mask)):
                buffer = io.BytesIO()
                image.save(buffer, "PNG", compress_level=1)
                archive.writestr(f"{folder}MCUCXR_{number:04d}_{number % 2}.png", buffer.getvalue())


def measure(archive: Path, size: int) -> None:
    """Prepare an archive in a temporary folder and print images/s, peak memory and the output's size."""
    from bakeoff.stages.prepare import prepare

    with tempfile.TemporaryDirectory() as temporary:
        raw, folder = Path(temporary, "raw"), Path(temporary, "prepared")
        raw.mkdir()
        (raw / FILES[0].name).symlink_to(archive.resolve())
        (raw / "source.json").write_text(json.dumps({"files": [], "synthetic": True}))
        started = time.perf_counter()
        prepare("lungs", "lungs", raw, folder, size=size, split=SPLIT, duplicates={"distance": 6})
        seconds = time.perf_counter() - started
        counts = json.loads((folder / "dataset.json").read_text())["counts"]
        output = sum(path.stat().st_size for path in folder.iterdir()) / 2**20
    peak = _peak_memory_mib()
    speed = counts["listed"] / seconds
    print(f"{counts['used']} of {counts['listed']} images used at {size} x {size}, {speed:.1f} images/s")
    print(f"peak memory {peak:.0f} MiB, of which output at most {2 * output:.0f} MiB (written twice, memory-mapped)")


def _peak_memory_mib() -> float:
    # Not getrusage, whose peak a process inherits from the one that started it.
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("archive", nargs="?", type=Path, help="chest-xray-masks-and-labels.zip")
    parser.add_argument("--size", type=int, default=192)
    parser.add_argument("--large", type=int, default=0, metavar="N")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    print(json.dumps({key: manifest()[key] for key in ("revision", "cpu", "threads")}))
    if arguments.archive:
        measure(arguments.archive, arguments.size)
        return
    with tempfile.TemporaryDirectory() as temporary:
        archive = Path(temporary, FILES[0].name)
        if arguments.large:
            write_large(archive, arguments.large)
        else:
            started = time.perf_counter()
            synthetic.write(Path(temporary), images=400, size=256, seed=0)
            print(f"drawn: 400 images of 256 pixels, {400 / (time.perf_counter() - started):.0f} images/s")
        # In a process of its own, whose peak memory is then prepare's.
        command = [sys.executable, __file__, str(archive), "--size", str(arguments.size)]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
