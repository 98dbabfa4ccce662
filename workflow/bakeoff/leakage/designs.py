"""Pairs of experiments that differ in one leak alone."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from bakeoff.datasets.splits.splitting import keeps_groups

BETWEEN_SPLITS = "leakage between splits"
IN_SAMPLE = "in-sample instead of cross-fitted masks"
# What an entry of `derived` says about how a mask is shown, whatever its source.
_DRAWING = ("dataset", "kind", "style", "colour", "opacity", "width", "keep", "margin")
# What may differ between two experiments of the same method; `oracle` follows from the pictures.
_NOT_METHOD = ("name", "family", "task", "images", "pictures", "segmenter", "segmenter_cost", "mask_quality", "oracle")

Entry = Mapping[str, Any]


class Design(NamedTuple):
    """Two experiments that differ in one leak alone; `kind` names it."""

    kind: str
    without_leak: str
    with_leak: str

    @property
    def across_tasks(self) -> bool:
        """Whether the two belong to two tasks."""
        return self.kind == BETWEEN_SPLITS


def designs(experiments: Mapping[str, Entry], tasks: Mapping[str, Entry]) -> list[Design]:
    """Pairs of experiments that differ in one leak alone, in the configuration's order.

    - The same method on the same pictures, in a task whose split keeps groups together and in one, otherwise alike,
      that does not.
    - The same method in one task, on pictures with the true mask and on pictures with a predicted mask, with another
      image's mask, or without any; and, as a control, with another image's mask and without any.
    - The same method in one task, on pictures with masks that their network was trained on (in-sample) and with
      cross-fitted masks. In-sample masks are compared with nothing else: they have a leak of their own.

    Parameters
    ----------
    experiments
        By name: `dataset`, `task`, `images`, what makes the method, and `pictures`, the entry of the derived pictures
        that it sees (`variant`, `masks`, and how they are drawn) or None; see `bakeoff.config.Config.experiment`.
    tasks
        By name: `dataset`, `kind`, `target`, `split`.
    """
    found = []
    for first, without in experiments.items():
        for second, leaking in experiments.items():
            if _method(without) != _method(leaking):
                continue
            if without["task"] == leaking["task"]:
                kind = _kind_of_images(_shown(without), _shown(leaking))
            else:
                same_images = _images(without) == _images(leaking)
                kind = _kind_of_split(tasks[without["task"]], tasks[leaking["task"]]) if same_images else None
            if kind:
                found.append(Design(kind, first, second))
    return found


class _Shown(NamedTuple):
    """Which mask an experiment's pictures show: none, true, shuffled, cross-fitted or in-sample; and how."""

    mask: str
    drawing: dict[str, Any]
    source: str


def _images(experiment: Entry) -> str:
    return str(experiment.get("images") or experiment["dataset"])


def _method(experiment: Entry) -> dict[str, Any]:
    """What makes an experiment's method: all but its task and pictures; an optional key that is off may be left out."""
    return {key: value for key, value in experiment.items() if key not in _NOT_METHOD and value not in (None, False)}


def _shown(experiment: Entry) -> _Shown:
    entry = experiment.get("pictures")
    if entry is None:
        return _Shown("none", {}, "")
    return _Shown(entry["variant"], {key: entry.get(key) for key in _DRAWING}, entry["masks"])


def _kind_of_images(without: _Shown, leaking: _Shown) -> str | None:
    masks = without.mask, leaking.mask
    if without.mask != "none" and without.drawing != leaking.drawing:
        return None
    if masks == ("cross-fitted", "in-sample"):
        return IN_SAMPLE if without.source == leaking.source else None
    if masks == ("none", "true") and leaking.drawing["kind"] == "mask":
        return "true mask instead of the image"
    return {
        ("cross-fitted", "true"): "true instead of predicted mask",
        ("shuffled", "true"): "true instead of another image's mask",
        ("none", "true"): "true mask added to the image",
        ("none", "shuffled"): "control: another image's mask added to the image",
    }.get(masks)


def _kind_of_split(without: Entry, leaking: Entry) -> str | None:
    same = all(without.get(key) == leaking.get(key) for key in ("dataset", "kind", "target"))
    # A method that learned from one hospital alone differs in more than this leak.
    same = same and without["split"].get("learn_from") == leaking["split"].get("learn_from")
    return BETWEEN_SPLITS if same and keeps_groups(without["split"]) and not keeps_groups(leaking["split"]) else None
