"""Model cards: what whoever takes a trained method has to know of it, in Markdown.

The front matter is the metadata that model hubs read, its results in the format of the Papers-with-Code model index
(https://huggingface.co/docs/hub/model-cards); the sections follow Mitchell et al. (2019), "Model cards for model
reporting", https://arxiv.org/abs/1810.03993.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from bakeoff.artefacts.prepared import Fold

FOLDER = Path(__file__).parent
MISSING = "—"
LIBRARY = "bakeoff"
# Model hubs' names of what is predicted.
PIPELINES = {"segmentation": "image-segmentation", "classification": "image-classification"}
NETWORKS = ("networks", "pretrained", "classifiers", "on_inputs")
# Scores by their key in `metrics.json`: what they are called, and their name on hubs where they are headlines there.
SCORES: dict[str, tuple[str, str | None]] = {
    "dice": ("Dice", "dice"),
    "iou": ("IoU", "iou"),
    "mean_dice": ("mean Dice over classes", None),
    "mean_iou": ("mean IoU over classes", "mean_iou"),
    "boundary_iou": ("boundary IoU", None),
    "pixel_accuracy": ("pixel accuracy", None),
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
    source: str | None = None,
    note: str = "",
    recipe: Mapping[str, Any] | None = None,
    shown: Mapping[str, Any] | None = None,
) -> str:
    """A model card of an experiment, of any family.

    Parameters
    ----------
    name
        The experiment's.
    settings
        `Config.experiment(name)`: its entry, with `family`, `target` and `oracle`.
    about
        `data/prepared/DATASET/dataset.json`.
    metrics, cost
        `metrics.json` and `cost.json` of the experiment.
    task
        The configuration's entry of its task: `kind`, `target`, `split`.
    folds
        Of that task's split.
    audit
        `results/audits/TASK.json`.
    source
        `datasets.NAME.source` of the configuration; None for a folder of one's own.
    note
        What whoever uses it has to know before all else, such as that it is no medical device.
    recipe
        What its networks were trained by; None where there is none.
    shown
        The configuration's entry of its input, of an experiment on pictures made from others.

    Returns
    -------
    str
        Markdown with YAML front matter, ending with a new line.
    """
    method, published = _method(settings), facts()["datasets"].get(source, {})
    template = _environment().get_template("card.md.j2")
    return template.render(
        front_matter=_front_matter(name, settings, about, metrics, task, published),
        name=name,
        what=_what(settings, method, about, task),
        warnings=_warnings(settings, about, cost, note),
        about=about,
        page=published.get("page"),
        classes=about["classes"] if task["kind"] == "segmentation" else _labels(about, task),
        protocol=_protocol(settings, task, folds, metrics, recipe, shown),
        scored=_scored(metrics),
        scores=_scores(metrics),
        costs=[(title, form.format(cost[key]) if cost.get(key) is not None else MISSING) for key, title, form in COSTS],
        cost=cost,
        weights=_weights(settings, cost),
        intended=_intended(settings, note),
        limits=_limits(settings, about, metrics, audit),
        usage=_usage(name, settings, shown),
        citations=[about["citation"], *method["cite"]],
        revision=cost.get("manifest", {}).get("revision"),
    )


@cache
def facts() -> dict[str, Any]:
    """What `facts.yaml` says: `datasets` by source, `methods` by name, `weights` by name."""
    found: dict[str, Any] = yaml.safe_load((FOLDER / "facts.yaml").read_text(encoding="utf-8"))
    return found


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
    about: Mapping[str, Any],
    metrics: Mapping[str, Any],
    task: Mapping[str, Any],
    published: Mapping[str, Any],
) -> str:
    synthetic, pipeline = about["synthetic"], PIPELINES[task["kind"]]
    headlines = {key: score for key, (_, score) in SCORES.items() if score and _known(metrics.get(key))}
    data = f"{about['title']} (synthetic stand-in)" if synthetic else about["title"]
    hub = published.get("hub", settings["dataset"]) if not synthetic else settings["dataset"]
    result = {
        "task": {"type": pipeline, "name": settings["task"]},
        "dataset": {"type": hub, "name": data, "split": "test"},
        "metrics": [
            {"type": score, "name": SCORES[key][0], "value": round(metrics[key]["mean"], 6)}
            for key, score in headlines.items()
        ],
    }
    # Weights are made of data and of other weights: no single licence is theirs to name.
    licence = {"license": "other", "license_name": "terms-of-data-and-weights"}
    if "page" in published and not synthetic:
        licence["license_link"] = published["page"]
    found = {
        **licence,
        "library_name": LIBRARY,
        "pipeline_tag": pipeline,
        "tags": [LIBRARY, settings["family"], *(["onnx"] if settings["family"] in NETWORKS else [])]
        + (["synthetic-data"] if synthetic else []),
        **({"datasets": [published["hub"]]} if "hub" in published and not synthetic else {}),
        "metrics": list(headlines.values()),
        "model-index": [{"name": name, "results": [result]}],
    }
    dumped: str = yaml.safe_dump(found, sort_keys=False, allow_unicode=True, width=120)
    return dumped


# Sections


def _method(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Title and reference of a method; of one that the facts do not know its name."""
    name = settings.get("method") or settings["model"]
    found = facts()["methods"].get(name, {})
    if "by" in found:
        name = settings["settings"].get(found["by"], name)
        found = found.get(name, {})
    cited = found.get("cite") or []
    return {"title": name, **found, "cite": [cited] if isinstance(cited, str) else cited}


def _what(
    settings: Mapping[str, Any], method: Mapping[str, Any], about: Mapping[str, Any], task: Mapping[str, Any]
) -> str:
    title = method["title"][0].upper() + method["title"][1:]
    if task["kind"] == "segmentation":
        # A threshold tells one class from all else, however many there are.
        marked = about["classes"][1:2] if settings["family"] == "thresholds" else about["classes"][1:]
        return f"{title} that marks {_listed(marked)} in pictures of the data set {about['title']}."
    return f"{title} that tells the {task['target']} of pictures of the data set {about['title']}."


def _warnings(settings: Mapping[str, Any], about: Mapping[str, Any], cost: Mapping[str, Any], note: str) -> list[str]:
    found = [note] if note else []
    if about["synthetic"]:
        found.append(
            "SYNTHETIC DATA: trained and scored on pictures that a program drew. No score here is of real images."
        )
    if cost.get("weights") == "random":
        found.append(
            "RANDOM WEIGHTS in place of pretrained ones: it learned less than the published weights would allow."
        )
    if settings["oracle"]:
        found.append("An ORACLE: it sees the truth of the images that it is tested on. A bound, and no method to use.")
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
    split = {key: value for key, value in task["split"].items() if value is not None and key != "folds"}
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
        made = {key: value for key, value in shown.items() if key not in ("dataset", "task", "segmenter")}
        lines.append(f"Input: not the pictures themselves but {settings['input']}, made of them ({_spelt(made)}).")
    if recipe is not None:
        lines.append(f"Training, recipe {settings['recipe']}: {_spelt(recipe)}.")
    return lines


def _scored(metrics: Mapping[str, Any]) -> str:
    over = "all folds together" if metrics.get("folds", 1) > 1 else "the test split"
    return (
        f"On {metrics['images']} test images ({over}), means over {_plural(metrics['seeds'], 'seed')}; intervals are "
        "95 % bootstrap intervals over images, look-alikes together (Wilson's of the accuracy)."
    )


def _scores(metrics: Mapping[str, Any]) -> list[dict[str, str]]:
    measured = {key: value for key, value in metrics.items() if isinstance(value, Mapping)}
    order = [*(key for key in SCORES if key in measured), *(key for key in measured if key not in SCORES)]
    return [
        {
            "title": SCORES[key][0] if key in SCORES else key.replace("_", " "),
            "mean": _number(measured[key]["mean"]),
            "interval": f"{_number(measured[key]['low'])} to {_number(measured[key]['high'])}",
        }
        for key in order
    ]


def _weights(settings: Mapping[str, Any], cost: Mapping[str, Any]) -> str:
    if settings["family"] == "thresholds":
        return "There are none: the method has no parameters that are learned."
    if settings["family"] == "classical":
        return "Fitted from nothing on the training images; their licence is that of the data."
    if "weights" not in settings:
        return "Trained from random weights on the training images; their licence is that of the data."
    if cost.get("weights") == "random":
        return (
            f"The encoder started from RANDOM weights, a stand-in for {settings['weights']}; nothing pretrained is in "
            "it. Their licence is that of the data."
        )
    known = facts()["weights"].get(settings["weights"], {"words": "published ones", "licence": "See their publisher."})
    origin = " (a mirror's own file, not the publisher's)" if cost.get("weights") == "mirror" else ""
    return (
        f"The encoder started from {settings['weights']}, {known['words']}{origin}. {known['licence']} The terms "
        "of the data hold as well."
    )


def _intended(settings: Mapping[str, Any], note: str) -> str:
    purpose = "To compare image-analysis methods, and to try this one on pictures like those it was trained on."
    return f"{purpose} {note}" if note else purpose


def _limits(
    settings: Mapping[str, Any], about: Mapping[str, Any], metrics: Mapping[str, Any], audit: Mapping[str, Any]
) -> list[str]:
    found = [
        f"It was scored on {metrics['images']} images of one data set; of other cameras, places and subjects nothing "
        "is known.",
        f"It sees {about['size']} x {about['size']} pixels: what is smaller in the picture is lost, and proportions "
        "change.",
    ]
    if settings["family"] in NETWORKS and metrics["seeds"] == 1:
        found.append("It was trained once: the intervals do not say what another seed would give.")
    if settings["family"] in NETWORKS:
        found.append(
            "The scores are of the precision that it was evaluated in. Its ONNX file computes in fp32: the parity.json "
            "beside that counts the answers that change."
        )
    found += [
        f"The audit says ({check['verdict']}, {check['check']}): {check['finding']} {check['explanation']}"
        for check in audit["checks"]
        if check["verdict"] in ("warn", "fail")
    ]
    return found


def _usage(name: str, settings: Mapping[str, Any], shown: Mapping[str, Any] | None) -> dict[str, list[str]]:
    if settings.get("foreground") == "oracle":
        return {"words": ["It cannot be used on images whose truth is not known."], "commands": []}
    predict = f"bakeoff predict {name} picture.jpg --out answers"
    if shown is not None and "segmenter" not in shown:
        return {"words": ["It takes a true mask with every picture:"], "commands": [f"{predict} --masks masks"]}
    if settings["family"] not in NETWORKS:
        return {"words": ["In the folder where it was fitted:"], "commands": [predict]}
    return {
        "words": ["In the folder where it was trained; once it was exported, the last line needs no torch:"],
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
    if isinstance(value, Mapping):
        return f"({_spelt(value)})"
    if isinstance(value, list | tuple):
        return "-".join(str(each) for each in value)
    return str(value)
