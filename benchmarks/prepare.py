"""Speed and peak memory of prepare: `python benchmarks/prepare.py [--mirror FOLDER] [--large N]`.

Three figures, each from processes of their own: all data sets of the configuration at the sample profile; JPEGs of 500
x 375 pixels decoded and resized into the prepared array; the peak memory of preparing such JPEGs. `--mirror` adds the
data sets of a mirror at the small profile, `--large` the memory bound's hard case: N X-rays of 20 megapixels, as
Montgomery's are, in RGB, and one of 99 megapixels with transparency.
"""

import argparse
import io
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from bakeoff.artefacts.geometry import Geometry
from bakeoff.artefacts.provenance import manifest, thread_count
from bakeoff.config import read_config, set_values
from bakeoff.datasets.preparation.arrays import Coding, decode_records
from bakeoff.datasets.preparation.prepare import prepare
from bakeoff.datasets.sources import catsdogs, lungs
from PIL import Image

CONFIG_FILE = Path(__file__).resolve().parent.parent / "params.yaml"
# Side of the prepared square, as at the full profile of the photographs.
SIZE = 224
# Pictures that are drawn; the archive holds each several times, under other names.
DISTINCT = 100
# Of the photographs of the pets' archive: 792 MB for 7,390 of them.
PUBLISHED_KIB = 105
SECONDS_BETWEEN_LOOKS = 0.005


class Measured(NamedTuple):
    """Seconds of wall clock and of processor, and MiB at the peak: without and with what is mapped from disk."""

    seconds: float
    processor_seconds: float
    anonymous_mib: float
    resident_mib: float


def measure(work: Callable[..., object], *arguments: Any) -> Measured:
    """Run a function in a fresh process."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_measured, work, arguments).result()


def _measured(work: Callable[..., object], arguments: tuple[Any, ...]) -> Measured:
    over, peak = threading.Event(), [0.0]

    def look() -> None:
        while not over.wait(SECONDS_BETWEEN_LOOKS):
            peak[0] = max(peak[0], _memory_mib("RssAnon"))

    watch = threading.Thread(target=look)
    watch.start()
    started, processor = time.perf_counter(), time.process_time()
    work(*arguments)
    seconds, processor = time.perf_counter() - started, time.process_time() - processor
    over.set()
    watch.join()
    return Measured(seconds, processor, peak[0], _memory_mib("VmHWM"))


def _memory_mib(field: str) -> float:
    # Not getrusage, whose peak a process inherits from the one that started it.
    return int(Path("/proc/self/status").read_text().split(f"{field}:")[1].split()[0]) / 1024


def at_profile(profile: str, mirror: Path | None) -> None:
    """Download and prepare every data set by the command line, as the pipeline does it, in a folder of its own."""
    with tempfile.TemporaryDirectory() as temporary:
        shutil.copy(CONFIG_FILE, Path(temporary, CONFIG_FILE.name))
        settings = [f"profile={profile}", *([f"download.mirror={mirror.resolve()}"] if mirror else [])]
        set_values(settings, Path(temporary, CONFIG_FILE.name))
        total = 0.0
        for name in read_config(CONFIG_FILE).datasets:
            _bakeoff(temporary, "download", name)
            started = time.perf_counter()
            _bakeoff(temporary, "prepare", name)
            total += (seconds := time.perf_counter() - started)
            about = json.loads(Path(temporary, "data", "prepared", name, "dataset.json").read_text())
            used, listed = about["counts"]["used"], about["counts"]["listed"]
            print(f"  {name}: {used} of {listed} images at {about['size']} x {about['size']}, {seconds:.1f} s")
        print(f"  all: {total:.1f} s{' (bar: 30 s)' if profile == 'sample' else ''}")


def _bakeoff(folder: str, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bakeoff.cli", *arguments], cwd=folder, capture_output=True, text=True
    )  # fmt: skip
    if done.returncode:
        sys.exit(done.stderr)


def write_photographs(folder: Path, count: int) -> float:
    """Cats and dogs, JPEGs of 500 x 375 pixels as large as published ones; returns their mean size in KiB."""
    pictures = [_photograph(np.random.default_rng(seed)) for seed in range(DISTINCT)]
    with zipfile.ZipFile(folder / catsdogs.FILES[0].name, "w") as archive:
        for number in range(count):
            kind = ("Cat", "Dog")[number % 2]
            archive.writestr(f"PetImages/{kind}/{number}.jpg", pictures[number % DISTINCT])
    (folder / "source.json").write_text(json.dumps({"files": [], "synthetic": True}))
    return float(np.mean([len(picture) for picture in pictures])) / 1024


def _photograph(random: np.random.Generator) -> bytes:
    """Colour noise of several scales, the finest as strong as it takes for the published size of a file."""
    scene = np.zeros((375, 500, 3), np.float32)
    for scale, strength in ((125, 60), (25, 30), (5, 20), (2, 10)):
        coarse = random.normal(0, strength, (375 // scale + 1, 500 // scale + 1, 3)).astype(np.float32)
        scene += cv2.resize(coarse, (500, 375), interpolation=cv2.INTER_CUBIC)
    scene += random.normal(0, 5, (375, 500, 1)).astype(np.float32)
    buffer = io.BytesIO()
    Image.fromarray(np.clip(scene + 128, 0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


def decode_photographs(raw: Path, scratch: Path) -> None:
    """Decode and resize them into the prepared array, and nothing else."""
    coding = Coding(Geometry("stretch", SIZE, SIZE), catsdogs.CHANNELS, 0, "nearest", catsdogs.classes_of)
    decode_records(catsdogs.listing(raw).records, raw, scratch, coding, thread_count())


def write_large(folder: Path, count: int) -> None:
    """`count` RGB X-rays of 4892 x 4020 and one RGBA X-ray of 9999 x 9900 pixels, with masks."""
    shades = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    with zipfile.ZipFile(folder / lungs.FILES[0].name, "w") as archive:
        for number in range(1, count + 2):
            size, mode = ((4892, 4020), "RGB") if number <= count else ((9999, 9900), "RGBA")
            picture = (
                Image.fromarray(np.roll(shades, number * 7, axis=0))
                .convert(mode)
                .resize(size, Image.Resampling.BICUBIC)
            )
            mask = Image.fromarray((np.indices((size[1], size[0]))[1] % 1000 > 500).astype(np.uint8) * 255)
            for place, image in ((lungs.IMAGES, picture), (lungs.MASKS, mask)):
                buffer = io.BytesIO()
                image.save(buffer, "PNG", compress_level=1)
                archive.writestr(f"{place}MCUCXR_{number:04d}_{number % 2}.png", buffer.getvalue())
    (folder / "source.json").write_text(json.dumps({"files": [], "synthetic": True}))


def prepare_all(source: str, raw: Path, folder: Path, size: int) -> None:
    """The whole stage."""
    prepare(source, source, raw, folder, size=size, distance=6)


def report_memory(measured: Measured, folder: Path) -> None:
    """Print the peak and the size of what was written."""
    output = sum(path.stat().st_size for path in folder.iterdir()) / 2**20
    print(
        f"  peak memory {measured.anonymous_mib:.0f} MiB beyond what is mapped from disk (bar: 1024 MiB), "
        f"{measured.resident_mib:.0f} MiB with it; output {output:.0f} MiB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mirror", type=Path, metavar="FOLDER")
    parser.add_argument("--large", type=int, default=0, metavar="N")
    parser.add_argument("--images", type=int, default=3000, metavar="N", help="JPEGs to decode")
    arguments = parser.parse_args()
    made_by = manifest()
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(json.dumps({key: made_by[key] for key in ("revision", "cpu", "threads")} | {"load before": load}))

    print("prepare at sample, all data sets")
    at_profile("sample", None)
    if arguments.mirror:
        print("prepare at small, all data sets of the mirror")
        at_profile("small", arguments.mirror)

    with tempfile.TemporaryDirectory() as temporary:
        raw, scratch, prepared = (Path(temporary, name) for name in ("raw", "scratch", "prepared"))
        raw.mkdir()
        scratch.mkdir()
        kib = write_photographs(raw, arguments.images)
        print(f"{arguments.images} JPEGs of 500 x 375 pixels, {kib:.0f} KiB each (published: {PUBLISHED_KIB} KiB)")
        decoding = measure(decode_photographs, raw, scratch)
        print(
            f"  decoded and resized to {SIZE} x {SIZE}: {arguments.images / decoding.seconds:.0f} images/s on "
            f"{made_by['threads']} threads (bar: 500 on 2 cores), {arguments.images / decoding.processor_seconds:.0f} "
            "images a second of processor"
        )
        report_memory(decoding, scratch)
        preparing = measure(prepare_all, "catsdogs", raw, prepared, SIZE)
        print(f"  prepared: {arguments.images / preparing.seconds:.0f} images/s, all but {DISTINCT} are duplicates")
        report_memory(preparing, prepared)

    if arguments.large:
        with tempfile.TemporaryDirectory() as temporary:
            raw, prepared = Path(temporary, "raw"), Path(temporary, "prepared")
            raw.mkdir()
            write_large(raw, arguments.large)
            large = measure(prepare_all, "lungs", raw, prepared, 192)
            print(f"{arguments.large} X-rays of 20 megapixels and one of 99: {large.seconds:.1f} s")
            report_memory(large, prepared)


if __name__ == "__main__":
    main()
