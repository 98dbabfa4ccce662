"""A comparison as HTML: pictures are data URIs, so that none of it is written to disk."""

import base64
import io
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import cv2
import numpy as np
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from PIL import Image

from bakeoff.artefacts.channels import as_rgb, resized
from bakeoff.artefacts.colours import BLACK, class_colours
from bakeoff.artefacts.void import VOID
from bakeoff.demo.comparing import Comparison, Outcome
from bakeoff.inference.objects import Objects
from bakeoff.report.pictures import webp_uri
from bakeoff.report.wording import milliseconds

# Longer side of a picture on the page, in pixels.
SHOWN_SIDE = 640
# Index of lines between objects in a palette: masks have 254 classes at most, and 255 is void.
LINE = 254


def comparison_html(comparison: Comparison) -> str:
    """The HTML of a comparison; the CSS variable `--mask-opacity` sets the opacity of the masks."""
    picture, task = comparison.picture, comparison.task
    background = task.data.background
    shown = small(picture.shown, SHOWN_SIDE)
    return _template("comparison").render(
        picture={
            "name": picture.name,
            "uri": webp_uri(shown),
            "width": picture.shown.shape[1],
            "height": picture.shown.shape[0],
            "ratio": f"{picture.shown.shape[1]} / {picture.shown.shape[0]}",
            "mask": _mask_uri(picture.true_mask, picture.true_objects, background),
            "objects": "" if picture.true_objects is None else picture.true_objects.words,
            "label": picture.true_label,
        },
        target=task.target,
        score_name=task.mask_score.title if task.target is None else "",
        classes=_legend(_mask_classes(comparison), background),
        out_of_distribution_score=comparison.out_of_distribution_score,
        out_of_distribution=comparison.out_of_distribution,
        note=task.note,
        synthetic=task.data.about["synthetic"],
        outcomes=[_outcome(each, picture.true_label, background) for each in comparison.outcomes],
    )


def words_html(words: str) -> str:
    """A sentence in place of a comparison."""
    return str(Markup('<p class="words" role="alert">{}</p>').format(words))


def small(pixels: np.ndarray, side: int) -> np.ndarray:
    """Picture (H, W, channels) as uint8 RGB whose longer side is at most `side`; one that is smaller stays as it is."""
    height, width = pixels.shape[:2]
    scale = min(1.0, side / max(height, width))
    if scale < 1:
        size = (max(1, round(height * scale)), max(1, round(width * scale)))
        pixels = resized(pixels, size, cv2.INTER_AREA)
    return as_rgb(pixels)


def overlay_uri(mask: np.ndarray, background: int | None = 0, numbers: np.ndarray | None = None) -> str:
    """Class indices, uint8 (H, W), as a PNG of colours: void and a background transparent, the others opaque.

    `numbers` are those of single objects, (H, W); a black line lies between two that touch. A mask that is larger than
    it can be shown is shrunk.
    """
    if (largest := max(mask.shape)) > 2 * SHOWN_SIDE:
        step = -(-largest // (2 * SHOWN_SIDE))
        mask, numbers = mask[::step, ::step], None if numbers is None else numbers[::step, ::step]
    colours = class_colours(background)
    if numbers is not None:
        mask, colours[LINE] = np.where(between(numbers), LINE, mask).astype(np.uint8), BLACK
    image = Image.fromarray(mask, mode="P")
    image.putpalette(colours.tobytes())
    opacity = np.full(len(colours), 255, np.uint8)
    opacity[[VOID, *([] if background is None else [background])]] = 0
    return _png_uri(image, transparency=opacity.tobytes())


def between(numbers: np.ndarray) -> np.ndarray:
    """Pixels of an object whose right or lower neighbour is of another one, bool (H, W)."""
    found = np.zeros(numbers.shape, bool)
    for here, other in (((slice(None, -1),), (slice(1, None),)), (np.s_[:, :-1], np.s_[:, 1:])):
        found[here] |= (numbers[here] > 0) & (numbers[other] > 0) & (numbers[here] != numbers[other])
    return found


def indices_uri(mask: np.ndarray) -> str:
    """Class indices, uint8 (H, W), as a grey PNG whose levels they are."""
    return _png_uri(Image.fromarray(mask, mode="L"))


def _mask_uri(mask: np.ndarray | None, objects: Objects | None, background: int | None) -> str | None:
    return None if mask is None else overlay_uri(mask, background, None if objects is None else objects.numbers)


def _mask_classes(comparison: Comparison) -> list[str]:
    task = comparison.task
    if task.target is None:
        return task.data.classes
    return max((each.mask_classes for each in comparison.outcomes), key=len, default=[])


def _legend(classes: Sequence[str], background: int | None) -> list[dict[str, str]]:
    colours = class_colours(background)
    shown = [n for n in range(len(classes)) if n != background]
    return [{"name": classes[n], "colour": "#" + colours[n].tobytes().hex()} for n in shown]


def _outcome(outcome: Outcome, true_label: str | None, background: int | None) -> dict[str, Any]:
    answer = outcome.answer
    found = None if answer is None else answer.mask
    return {
        "label": outcome.method.label,
        "experiment": outcome.method.experiment,
        "words": outcome.words,
        "time": None if answer is None else milliseconds(1000 * answer.seconds),
        "mask": _mask_uri(found, outcome.objects, background),
        "objects": "" if outcome.objects is None else outcome.objects.words,
        "areas": [{"name": name, "share": f"{100 * share:.1f} %"} for name, share in outcome.areas.items()],
        "score": None if outcome.score is None else f"{outcome.score:.3f}",
        "bars": [
            {"name": name, "share": f"{100 * share:.1f} %", "width": f"{100 * share:.2f}", "true": name == true_label}
            for name, share in outcome.likeliest
        ],
    }


def _png_uri(image: Image.Image, **options: Any) -> str:
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True, **options)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"


@cache
def _template(name: str) -> Any:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string((files("bakeoff.demo") / f"{name}.html.j2").read_text(encoding="utf-8"))
