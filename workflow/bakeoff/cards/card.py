"""Model cards in Markdown: what users of a trained method have to know about it.

The front matter is the metadata that model hubs read, its results in the format of the Papers-with-Code model index
(https://huggingface.co/docs/hub/model-cards); the sections follow Mitchell et al. (2019), "Model cards for model
reporting", https://arxiv.org/abs/1810.03993.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from bakeoff.artefacts.channels import RGB, adaptation_words
from bakeoff.artefacts.geometry import geometry_of
from bakeoff.artefacts.mask_score import MaskScore, mask_score
from bakeoff.artefacts.prepared import Fold

FOLDER = Path(__file__).parent
MISSING = "—"
LIBRARY = "bakeoff"
# Hugging Face's names of the kinds of task.
PIPELINES = {"segmentation": "image-segmentation", "classification": "image-classification"}
# Scores by their key in `metrics.json`: their name here, and on model hubs if they are shown there.
SCORES: dict[str, tuple[str, str | None]] = {
    "dice": ("Dice", "dice"),
    "iou": ("IoU", "iou"),
    "mean_dice": ("mean Dice over classes", None),
    "mean_iou": ("mean IoU over classes", "mean_iou"),
    "boundary_iou": ("boundary IoU", None),
    "pixel_accuracy": ("pixel accuracy", None),
    "object_f1": ("F1 of objects at IoU .5", None),
    "object_ap": ("average precision of objects at IoU .5 to .95", None),
    "object_pq": ("panoptic quality of objects", None),
    "count_error": ("predicted less true objects an image", None),
    "count_off": ("objects miscounted an image", None),
    "hd95": ("95 % Hausdorff distance (pixels)", None),
    "assd": ("average symmetric surface distance (pixels)", None),
    "dataset_dice": ("Dice over all pixels", None),
    "dataset_iou": ("IoU over all pixels", None),
    "dataset_mean_iou": ("mean IoU over all pixels and classes", None),
    "iou_border_as_foreground": ("IoU, the border part of the foreground", None),
    "dataset_iou_border_as_foreground": ("IoU over all pixels, the border part of the foreground", None),
    "dataset_iou_border_ignored": ("IoU over all pixels but the border's", None),
    "accuracy": ("accuracy", "accuracy"),
    "balanced_accuracy": ("balanced accuracy", "balanced_accuracy"),
    "macro_f1": ("macro F1", "f1"),
    "roc_auc": ("area under the ROC curve", "roc_auc"),
    "average_precision": ("average precision", None),
    "log_loss": ("log loss", None),
    "log_loss_scaled": ("log loss after temperature scaling", None),
    "ece": ("expected calibration error", None),
    "ece_scaled": ("expected calibration error after temperature scaling", None),
    "aurc": ("area under the risk-coverage curve", None),
}
# Those that are of each class against the rest; of several classes their means.
OF_CLASSES = ("dice", "iou", "boundary_iou", "hd95", "assd", "dataset_dice", "dataset_iou")
COSTS = (
    ("parameters", "parameters", "{:,.0f}"),
    ("multiply_adds", "multiply-adds an image", "{:,.0f}"),
    ("model_mib", "model (MiB)", "{:,.1f}"),
    ("training_seconds", "training, a seed and fold (s)", "{:,.1f}"),
    ("predict_images_per_second", "prediction (images a second)", "{:,.1f}"),
    ("latency_ms", "one image alone (ms)", "{:,.1f}"),
    ("peak_memory_mib", "peak memory (MiB)", "{:,.0f}"),
)


def card(
    name: str,
    settings: Mapping[str, Any],
    about: Mapping[str, Any],
    metrics: Mapping[str, Any],
    cost: Mapping[str, Any],
    *,
    task: Mapping[str, Any],
    folds: Sequence[Fold],
    audit: Mapping[str, Any],
    note: str = "",
    weights: Mapping[str, Any] | None = None,
    recipe: Mapping[str, Any] | None = None,
    shown: Mapping[str, Any] | None = None,
) -> str:
    """A model card of an experiment.

    Parameters
    ----------
    name
        The experiment's.
    settings
        Its `predictions/experiment.json`: the entry of the configuration and what the method's own file says of it.
    about
        `data/prepared/DATASET/dataset.json`.
    metrics, cost
        `metrics.json` and `cost.json` of the experiment.
    task
        The configuration's entry of its task: `kind`, `target`, `split`.
    folds
        Of that task's split.
    audit
        The contents of `audit.json` of the task.
    note
        To be read before all else, such as that it is no medical device.
    weights
        What is known of the weights that its networks started from (`weights.json`); None where there are none.
    recipe
        What its networks were trained by; None where there is none.
    shown
        The configuration's entry of the data set that `settings.images` names, if its pictures are made from others.

    Returns
    -------
    str
        Markdown with YAML front matter, ending with a new line.
    """
    method = settings["facts"]
    template = _environment().get_template("card.md.j2")
    return template.render(
        front_matter=_front_matter(name, settings, method, about, metrics, task),
        name=name,
        what=_what(method, about, task),
        warnings=_warnings(settings, about, cost, note),
        about=about,
        page=about["page"],
        classes=about["classes"] if task["kind"] == "segmentation" else _labels(about, task),
        protocol=_protocol(settings, task, folds, metrics, recipe, shown),
        scored=_scored(metrics),
        scores=_scores(metrics, _several(about, task)),
        geometry=geometry_of(about).words(),
        costs=[(title, form.format(cost[key]) if cost.get(key) is not None else MISSING) for key, title, form in COSTS],
        cost=cost,
        weights=_weights(settings, method, cost, weights or {}, RGB if shown else about["channels"]),
        intended=_intended(settings, note),
        limits=_limits(method, about, metrics, audit),
        usage=_usage(name, settings, method, shown),
        citations=[each for each in (about["citation"], *method["citations"]) if each],
        revision=cost.get("manifest", {}).get("revision"),
    )


@cache
def _environment() -> Environment:
    # Markdown, not HTML: what is data passes through `md` in the template.
    environment = Environment(
        loader=FileSystemLoader(FOLDER), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["md"] = escaped
    return environment


def escaped(text: object) -> str:
    """Text that is no markup in Markdown, nor in a table's cell, on one line.

    Examples
    --------
    >>> escaped("a|b <i>[c]")
    'a\\\\|b &lt;i>\\\\[c\\\\]'
    """
    line = " ".join(str(text).split()).replace("\\", "\\\\").replace("<", "&lt;")
    for mark in "|*`[]":
        line = line.replace(mark, f"\\{mark}")
    return line


# Front matter


def _front_matter(
    name: str,
    settings: Mapping[str, Any],
    method: Mapping[str, Any],
    about: Mapping[str, Any],
    metrics: Mapping[str, Any],
    task: Mapping[str, Any],
) -> str:
    from huggingface_hub import EvalResult, ModelCardData

    real = not about["synthetic"]
    hub = about["hub"] if real else None
    headlines = {key: score for key, (_, score) in SCORES.items() if score and _known(metrics.get(key))}
    results = [
        EvalResult(
            task_type=PIPELINES[task["kind"]],
            task_name=settings["task"],
            dataset_type=hub or settings["dataset"],
            dataset_name=about["title"] if real else f"{about['title']} (synthetic stand-in)",
            dataset_split="test",
            metric_type=score,
            metric_name=_title(key, _several(about, task)),
            metric_value=round(metrics[key]["mean"], 6),
        )
        for key, score in headlines.items()
    ]
    data = ModelCardData(
        # Weights are made of data and of other weights, so there is no single licence to name.
        license="other",
        license_name="terms-of-data-and-weights",
        license_link=about["page"] if real else None,
        library_name=LIBRARY,
        pipeline_tag=PIPELINES[task["kind"]],
        tags=[LIBRARY, method["kind"], *([] if real else ["synthetic-data"])],
        datasets=[hub] if hub else None,
        metrics=list(headlines.values()),
        model_name=name,
        eval_results=results,
    )
    return data.to_yaml(line_break="\n") + "\n"


# Sections


def _what(method: Mapping[str, Any], about: Mapping[str, Any], task: Mapping[str, Any]) -> str:
    title = method["title"][0].upper() + method["title"][1:]
    if task["kind"] == "segmentation":
        # A threshold tells one class from all else, however many there are: the one that is scored.
        foreground = mask_score(None, about["classes"], about["background"])
        marks = _score(about, task) if method["kind"] == "threshold" else foreground
        marked = [about["classes"][index] for index in marks.scored]
        return f"{title} that marks {_listed(marked)} in pictures of the data set {about['title']}."
    return f"{title} that tells the {task['target']} of pictures of the data set {about['title']}."


def _warnings(settings: Mapping[str, Any], about: Mapping[str, Any], cost: Mapping[str, Any], note: str) -> list[str]:
    found = [note] if note else []
    if about["synthetic"]:
        found.append(
            "SYNTHETIC DATA: trained and scored on pictures that a program drew. No score here is of real images."
        )
    if cost.get("weights") == "random":
        found.append("RANDOM WEIGHTS in place of pretrained ones: expect lower scores than with the published weights.")
    if settings["oracle"]:
        found.append(
            "An ORACLE: it uses the truth of the images that it is tested on. It is a bound, not a method to use."
        )
    return found


def _labels(about: Mapping[str, Any], task: Mapping[str, Any]) -> list[str]:
    return sorted(about["counts"].get("by_label", {}).get(task["target"], {}))


def _protocol(
    settings: Mapping[str, Any],
    task: Mapping[str, Any],
    folds: Sequence[Fold],
    metrics: Mapping[str, Any],
    recipe: Mapping[str, Any] | None,
    shown: Mapping[str, Any] | None,
) -> list[str]:
    split = {key: value for key, value in task["split"].items() if value not in (None, []) and key != "folds"}
    sizes = ", ".join(
        f"{np.mean([len(getattr(fold, part)) for fold in folds]):,.0f} {words}"
        for part, words in (("train", "to train"), ("validation", "to choose weights by"), ("test", "to test"))
    )
    across = f"{len(folds)} folds, in each of them on average" if len(folds) > 1 else "one split"
    own = {key: settings[key] for key in ("foreground", "classes", "features", "side") if settings.get(key) is not None}
    lines = [
        f"Task {settings['task']} ({task['kind']}), split {_spelt(split)}.",
        f"Images: {across} {sizes}.",
        f"Seeds: {metrics['seeds']}. Each training is scored on the test images of its fold alone.",
        f"Settings: {_spelt({**own, **settings.get('settings', {})}) or 'none'}.",
    ]
    if shown is not None:
        made = {key: value for key, value in shown.items() if key != "dataset"}
        lines.append(f"Input: not the pictures themselves but {settings['images']}, made of them ({_spelt(made)}).")
    if recipe is not None:
        lines.append(f"Training, recipe {settings['recipe']}: {_spelt(recipe)}.")
    return lines


def _scored(metrics: Mapping[str, Any]) -> str:
    wilson = " (Wilson's of the accuracy)" if "accuracy" in metrics else ""
    over = "all folds together" if metrics.get("folds", 1) > 1 else "the test split"
    return (
        f"On {metrics['images']} test images ({over}), means over {_plural(metrics['seeds'], 'seed')}; intervals are "
        f"95 % bootstrap intervals over images, near-duplicates together{wilson}."
    )


def _score(about: Mapping[str, Any], task: Mapping[str, Any]) -> MaskScore:
    """What the masks of a task are ranked by."""
    return mask_score(task.get("score"), about["classes"], about["background"])


def _several(about: Mapping[str, Any], task: Mapping[str, Any]) -> bool:
    """Whether scores of masks are means over classes."""
    return task["kind"] == "segmentation" and len(_score(about, task).scored) > 1


def _title(key: str, several: bool) -> str:
    title = SCORES[key][0] if key in SCORES else key.replace("_", " ")
    return f"{title}, mean over the classes scored" if several and key in OF_CLASSES else title


def _scores(metrics: Mapping[str, Any], several: bool) -> list[dict[str, str]]:
    measured = {key: value for key, value in metrics.items() if isinstance(value, Mapping)}
    order = [*(key for key in SCORES if key in measured), *(key for key in measured if key not in SCORES)]
    return [
        {
            "title": _title(key, several),
            "mean": _number(measured[key]["mean"]),
            "interval": f"{_number(measured[key]['low'])} to {_number(measured[key]['high'])}",
        }
        for key in order
    ]


def _weights(
    settings: Mapping[str, Any],
    method: Mapping[str, Any],
    cost: Mapping[str, Any],
    weights: Mapping[str, Any],
    channels: int,
) -> str:
    if method["kind"] == "threshold":
        return "There are none: the method has no parameters that are learned."
    if method["kind"] == "classical":
        return "Fitted on the training images alone; their licence is that of the data."
    if (name := settings["pretrained"]) is None:
        return "Trained from random weights on the training images; their licence is that of the data."
    if cost.get("weights") == "random":
        return (
            f"The encoder started from RANDOM weights, a stand-in for {name}; nothing pretrained is in it. Their "
            "licence is that of the data."
        )
    mirror = " (a mirror's own file, not the publisher's)" if cost.get("weights") == "mirror" else ""
    said = [
        f"The encoder started from {name}, {weights['origin']}{mirror}.",
        adaptation_words(channels),
        f"{weights['licence']} The terms of the data hold as well.",
    ]
    return " ".join(filter(None, said))


def _intended(settings: Mapping[str, Any], note: str) -> str:
    purpose = "To compare image-analysis methods, and to try this one on pictures like those it was trained on."
    return f"{purpose} {note}" if note else purpose


def _limits(
    method: Mapping[str, Any], about: Mapping[str, Any], metrics: Mapping[str, Any], audit: Mapping[str, Any]
) -> list[str]:
    geometry = geometry_of(about)
    found = [
        f"It was scored on {metrics['images']} images of one data set. Nothing is known about other cameras, places "
        "and subjects.",
        f"Images are {geometry.words()}{'' if geometry.tiled else ': smaller details are lost'}.",
    ]
    if method["kind"] == "network" and metrics["seeds"] == 1:
        found.append("It was trained once: the intervals do not say what another seed would give.")
    if method["kind"] == "network":
        found.append(
            "The scores hold for the precision that it was evaluated in. An exported ONNX file computes in fp32: "
            "parity.json beside it counts the answers that change."
        )
    found += [
        f"Audit ({check['verdict']}, {check['check']}): {check['finding']} {check['explanation']}"
        for check in audit["checks"]
        if check["verdict"] in ("warn", "fail")
    ]
    return found


def _usage(
    name: str, settings: Mapping[str, Any], method: Mapping[str, Any], shown: Mapping[str, Any] | None
) -> dict[str, list[str]]:
    if settings.get("foreground") == "oracle":
        return {"words": ["It cannot be used on images whose truth is not known."], "commands": []}
    predict = f"bakeoff predict {name} picture.jpg --out answers"
    if shown is not None and shown["variant"] in ("true", "shuffled"):
        return {"words": ["It takes a true mask with every picture:"], "commands": [f"{predict} --masks masks"]}
    if method["kind"] != "network":
        return {"words": ["In the folder where it was fitted:"], "commands": [predict]}
    return {
        "words": ["In the folder where it was trained; once it is exported, the last line needs no torch:"],
        "commands": [predict, f"bakeoff export {name}", f"{predict} --runtime onnx"],
    }


# Words


def _known(score: Any) -> bool:
    return isinstance(score, Mapping) and score["mean"] is not None


def _number(value: float | None) -> str:
    return MISSING if value is None else f"{value:.3f}"


def _plural(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _listed(items: Sequence[str]) -> str:
    return " and ".join(part for part in (", ".join(items[:-1]), *items[-1:]) if part)


def _spelt(values: Mapping[str, Any]) -> str:
    """Keys and values on one line, `name stratified, train 0.7, stratify class`."""
    return ", ".join(f"{key} {_spelt_value(value)}" for key, value in values.items())


def _spelt_value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return f"({_spelt(value)})"
    if isinstance(value, list | tuple):
        return "-".join(str(each) for each in value)
    return str(value)
