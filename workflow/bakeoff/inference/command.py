"""`bakeoff predict EXPERIMENT PATH... --out DIR`: masks, outlines, and one line an image."""

import csv
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from tqdm import tqdm

from bakeoff.artefacts.atomic import storage_errors, write_text
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.datasets.preparation.decode import Undecodable, frame_classes, frame_image, is_turned, resize_classes
from bakeoff.evaluation.out_of_distribution import THRESHOLD, detector_of_task
from bakeoff.evaluation.separation import Separation
from bakeoff.inference.drawing import write_mask, write_overlay
from bakeoff.inference.objects import find_objects, separation_of, write_objects
from bakeoff.inference.pictures import find_pictures, masks_by_stem, open_mask, open_picture
from bakeoff.inference.predictors import Answer, CascadePredictor, Predictor, RuntimeName, open_predictor

log = logging.getLogger(__name__)

BATCH = 16
# Pixels of originals that wait for their batch's answers, in bytes; a larger picture goes alone.
WAITING_BYTES = 256 << 20
# How bytes of a file name that are not valid UTF-8 are written: as escapes, which JSON reads back as Python has them.
NOT_UTF8 = "backslashreplace"


@dataclass(frozen=True)
class _Opened:
    """A picture to predict; `pixels` are the original's, kept only if a mask is drawn into them."""

    path: Path
    name: str
    height: int
    width: int
    prepared: np.ndarray
    pixels: np.ndarray | None
    truth: np.ndarray | None


def predict_pictures(
    experiment: str | None,
    paths: Sequence[str],
    out: Path,
    *,
    segment: str | None = None,
    classify: str | None = None,
    root: Path = Path(),
    runtime: RuntimeName = "torch",
    seed: int = 0,
    fold: int = 0,
    masks: Path | None = None,
    upright: bool | None = None,
    json_lines: bool = False,
    batch: int = BATCH,
) -> None:
    """Write the predictions of an experiment, or of two in a row, for images.

    In `out`: `predictions.csv`, or `predictions.jsonl`, one line an image; `masks/NAME.png`, class indices at the
    image's own size; `objects/NAME.png`, numbers of single objects, where the task's evaluation tells them apart;
    `overlays/NAME.jpg`, the outlines of the mask or of these objects; and `about.json`, how they were made. Files of
    the same names are overwritten. An image that cannot be read does not stop the others.

    Parameters
    ----------
    experiment
        Its name in the configuration; None with `segment` and `classify`.
    paths
        See `bakeoff.inference.pictures.find_pictures`; folders do not include masks and overlays of an earlier run.
    segment, classify
        Experiments that predict the mask and the class of the same images.
    root, runtime, seed, fold
        See `bakeoff.inference.predictors.open_predictor`.
    masks
        Folder of masks, of the images' names whatever the suffix, for an experiment that was trained on true masks.
        They lie on the pixels as stored, so that an image that its EXIF tag turns is refused where it is `upright`.
    upright
        Whether images are turned as their EXIF tag says; None: as the predictor has it.
    json_lines
        JSON lines in place of CSV.
    batch
        Images at a time, at least 1; no prediction depends on it.

    Raises
    ------
    BakeoffError
        If nothing can be predicted; or, after all other images, if an image could not be read.
    """
    predictor = _open(experiment, segment, classify, root, runtime, seed, fold, masks)
    separation = separation_of(predictor, root)
    written = [out / name for name in ("masks", "overlays", "objects")]
    files = find_pictures(paths, leave_out=written)
    truths = None if masks is None else _match_masks(masks, files)
    detector = detector_of_task(root, predictor.task, predictor.geometry, predictor.channels)
    if predictor.note:
        log.warning("%s", predictor.note)
    with storage_errors(out):
        for folder in (out, *(written[: 3 if separation else 2] if predictor.mask_classes else [])):
            folder.mkdir(parents=True, exist_ok=True)
    failures: dict[str, str] = {}
    upright = predictor.upright if upright is None else upright
    pictures = _read(files, predictor, truths, upright=upright, failures=failures)
    with _table(out, predictor, separation, json_lines) as write:
        for some in _batches(pictures, batch, WAITING_BYTES):
            shown = (each.prepared[predictor.geometry.shown(each.height, each.width)] for each in some)
            scores = detector.scores(shown).tolist() if detector else [None] * len(some)
            for each, answer, score in zip(some, _predict(predictor, some), scores, strict=True):
                write({**_line(predictor, each, answer, score), **_draw(out, predictor, separation, each, answer)})
    about = json.dumps(
        _about(predictor, separation, segment, runtime, upright, len(files), failures), indent=2, ensure_ascii=False
    )
    write_text(out / "about.json", about.encode("utf-8", NOT_UTF8).decode("utf-8") + "\n")
    log.info("%d of %d images predicted; results are in %s", len(files) - len(failures), len(files), out)
    if failures:
        listed = "\n".join(f"  {file}: {reason}" for file, reason in failures.items())
        raise BakeoffError(
            f"{len(failures)} of {len(files)} files could not be used: repair them or leave them out:\n{listed}"
        )


def _open(
    experiment: str | None,
    segment: str | None,
    classify: str | None,
    root: Path,
    runtime: RuntimeName,
    seed: int,
    fold: int,
    masks: Path | None,
) -> Predictor:
    pair = segment is not None and classify is not None
    if pair == (experiment is not None) or (segment is None) != (classify is None):
        raise BakeoffError("Name one experiment, or two in a row with --segment NAME --classify NAME.")
    if masks is not None and (pair or not masks.is_dir()):
        why = (
            "--segment predicts the masks: leave --masks out"
            if pair
            else f"{masks} is not a folder: name the folder of masks"
        )
        raise BakeoffError(f"{why}.")
    return open_predictor(
        str(classify or experiment),
        root,
        runtime=runtime,
        seed=seed,
        fold=fold,
        segmenter=segment,
        masks_given=masks is not None,
    )


def _match_masks(folder: Path, pictures: list[Path]) -> dict[Path, list[Path]]:
    """Masks of every picture's name; no two pictures may share theirs."""
    with storage_errors(folder):
        masks = masks_by_stem(folder)
    first: dict[str, Path] = {}
    for picture in pictures:
        if (other := first.setdefault(picture.stem, picture)) != picture:
            raise BakeoffError(
                f"{other} and {picture} would have the same mask: rename one, or predict them one at a time."
            )
    return {picture: masks.get(picture.stem, []) for picture in pictures}


def output_names(files: Sequence[Path]) -> list[str]:
    """For every file its name without suffix, numbered where that is taken, on a file system that ignores case too."""
    taken: set[str] = set()
    names = []
    for file in files:
        name, number = file.stem, 1
        while name.casefold() in taken:
            number += 1
            name = f"{file.stem}-{number}"
        taken.add(name.casefold())
        names.append(name)
    return names


def _read(
    files: list[Path],
    predictor: Predictor,
    truths: dict[Path, list[Path]] | None,
    *,
    upright: bool,
    failures: dict[str, str],
) -> Iterator[_Opened]:
    """Open file after file; what cannot be read goes, with the reason, to `failures`."""
    numbered = zip(files, output_names(files), strict=True)
    for path, name in tqdm(numbered, total=len(files), desc=predictor.experiment, unit="image", disable=None):
        try:
            pixels = open_picture(path, predictor.channels, upright=upright, levels=predictor.levels)
            if truths is not None and upright and is_turned(path.read_bytes()):
                raise Undecodable("its EXIF tag turns the image and not its mask: use --as-stored")
            truth = None if truths is None else _truth(truths[path], pixels.shape[:2], predictor)
        except Undecodable as error:
            failures[str(path)] = str(error)
            continue
        height, width = pixels.shape[:2]
        prepared = frame_image(pixels, predictor.geometry)
        yield _Opened(path, name, height, width, prepared, pixels if predictor.mask_classes else None, truth)


def _truth(masks: list[Path], shape: tuple[int, ...], predictor: Predictor) -> np.ndarray:
    """The mask given with a picture, uint8, as large as the prepared picture."""
    if len(masks) != 1:
        raise Undecodable(f"the folder of masks holds {len(masks)} masks of that name")
    try:
        mask = open_mask(masks[0], len(predictor.mask_classes))
    except Undecodable as error:
        raise Undecodable(f"its mask {masks[0]}: {error}") from error
    if mask.shape != shape:
        raise Undecodable(
            f"its mask has {mask.shape[1]} x {mask.shape[0]} pixels and the image {shape[1]} x {shape[0]}"
        )
    return frame_classes(mask, predictor.geometry)


def _batches(pictures: Iterable[_Opened], count: int, limit: int) -> Iterator[list[_Opened]]:
    """Up to `count` pictures at a time, fewer where their originals take more than `limit` bytes."""
    some: list[_Opened] = []
    bytes_ = 0
    for each in pictures:
        some.append(each)
        bytes_ += each.pixels.nbytes if each.pixels is not None else 0
        if len(some) >= count or bytes_ > limit:
            yield some
            some, bytes_ = [], 0
    if some:
        yield some


def _predict(predictor: Predictor, some: list[_Opened]) -> list[Answer]:
    pictures, originals = [each.prepared for each in some], [(each.height, each.width) for each in some]
    truths = [each.truth for each in some if each.truth is not None]
    if truths and isinstance(predictor, CascadePredictor):
        return predictor.predict(pictures, originals, np.stack(truths))
    return predictor.predict(pictures, originals)


def _line(predictor: Predictor, picture: _Opened, answer: Answer, score: float | None) -> dict[str, Any]:
    """The row of an image, without what `_draw` adds."""
    line: dict[str, Any] = {"file": str(picture.path), "width": picture.width, "height": picture.height}
    if answer.probabilities is not None:
        line["label"] = predictor.classes[int(answer.probabilities.argmax())]
        # Nine digits, from which float32 comes back bit for bit.
        line["p"] = {
            name: float(f"{value:.9g}") for name, value in zip(predictor.classes, answer.probabilities, strict=True)
        }
    if answer.mask is not None:
        line["area"] = {name: round(share, 6) for name, share in answer.areas(predictor.mask_classes).items()}
    out_of_distribution = None if score is None else score > THRESHOLD
    return {
        **line,
        "out_of_distribution_score": score,
        "out_of_distribution": out_of_distribution,
        "seconds": round(answer.seconds, 6),
    }


def _draw(
    out: Path, predictor: Predictor, separation: Separation | None, picture: _Opened, answer: Answer
) -> dict[str, Any]:
    """Write mask, objects and overlay, and return their places and the number of objects."""
    if answer.mask is None or picture.pixels is None:
        return {}
    mask = predictor.geometry.restored(answer.mask, picture.height, picture.width, resize_classes)
    objects = None if separation is None else find_objects(separation, predictor, answer.mask, mask)
    path, overlay = out / "masks" / f"{picture.name}.png", out / "overlays" / f"{picture.name}.jpg"
    with storage_errors(out):
        write_mask(path, mask, predictor.background)
        found = {} if objects is None else write_objects(out, picture.name, objects)
        numbers, words = (None, "") if objects is None else (objects.numbers, objects.words)
        write_overlay(overlay, picture.pixels, mask, predictor.background, numbers, words)
    return {**found, "mask": str(path.relative_to(out)), "overlay": str(overlay.relative_to(out))}


@contextmanager
def _table(
    out: Path, predictor: Predictor, separation: Separation | None, json_lines: bool
) -> Iterator[Callable[[dict[str, Any]], None]]:
    """The table, written whole or not at all; an error leaves the table of an earlier run in place.

    A table of the other format from an earlier run is removed at the end.
    """
    path, other = (out / f"predictions.{suffix}" for suffix in (("jsonl", "csv") if json_lines else ("csv", "jsonl")))
    if path.is_dir():
        raise BakeoffError(f"{path} is a folder, and the table goes there: rename it, or choose another --out.")
    beside = path.with_name(f".{path.name}.part")
    with storage_errors(path):
        file = beside.open("w", encoding="utf-8", newline="", errors=NOT_UTF8)
        write = _json_writer(file) if json_lines else _csv_writer(file, predictor, separation)

    def write_line(line: dict[str, Any]) -> None:
        with storage_errors(path):
            write(line)

    try:
        yield write_line
        with storage_errors(path):
            file.close()
            beside.replace(path)
            if other.is_file():
                other.unlink()
    finally:
        with suppress(OSError):  # of a full disk, which has been reported
            file.close()
        beside.unlink(missing_ok=True)


def _json_writer(file: IO[str]) -> Callable[[dict[str, Any]], None]:
    def write(line: dict[str, Any]) -> None:
        file.write(json.dumps(line, ensure_ascii=False) + "\n")

    return write


def _csv_writer(file: IO[str], predictor: Predictor, separation: Separation | None) -> Callable[[dict[str, Any]], None]:
    drawn = ["mask", *(["object_mask"] if separation else []), "overlay"] if predictor.mask_classes else []
    apart = [predictor.mask_classes[index] for index in separation.classes] if separation else []
    counts = [f"objects_{name}" for name in apart] if len(apart) > 1 else ["objects"] * len(apart)
    areas = [f"area_{name}" for name in predictor.mask_classes]
    answered = ["label", *(f"p_{name}" for name in predictor.classes)] if predictor.target is not None else []
    distribution = ["out_of_distribution_score", "out_of_distribution"]
    columns = ["file", "width", "height", *answered, *areas, *counts, *distribution, *drawn, "seconds"]
    writer = csv.DictWriter(file, columns, lineterminator="\n")
    writer.writeheader()

    def write(line: dict[str, Any]) -> None:
        writer.writerow(dict(_flat(line)))

    return write


def _flat(line: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in line.items():
        if isinstance(value, dict):
            yield from ((f"{key}_{name}", each) for name, each in value.items())
        elif isinstance(value, bool):
            yield key, str(value).lower()
        else:
            yield key, value


def _about(
    predictor: Predictor,
    separation: Separation | None,
    segment: str | None,
    runtime: str,
    upright: bool,
    files: int,
    failures: dict[str, str],
) -> dict[str, Any]:
    return {
        "experiment": predictor.experiment,
        "segmenter": segment,
        "dataset": predictor.dataset,
        "task": predictor.task,
        "runtime": runtime,
        "provider": predictor.provider,
        "seed": predictor.seed,
        "fold": predictor.fold,
        "orientation": "upright" if upright else "as stored",
        "geometry": predictor.geometry.kind,
        "size": [predictor.geometry.height, predictor.geometry.width],
        "levels": predictor.levels,
        "channels": predictor.channels,
        "classes": predictor.classes,
        "mask_classes": predictor.mask_classes,
        "separation": separation and separation._asdict(),
        "files": files,
        "failures": failures,
        "note": predictor.note,
    }
