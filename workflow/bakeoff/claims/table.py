"""Claims: what published systems say of themselves, what their own files show, and what Bakeoff finds, side by side."""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd
from safetensors import SafetensorError, safe_open

from bakeoff.artefacts.atomic import write_text
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.claims import CLAIMS, COMPARED, PARAMETERS, Claim, Conditions, Protocol, PublishedData, read_claims
from bakeoff.claims.verdict import Estimate, Evidence, judge, words
from bakeoff.evaluation.paired import compare_paired
from bakeoff.evaluation.scores import seed_scores
from bakeoff.leakage.effects import leakage_effect

log = logging.getLogger(__name__)

# Figures of which a claimed number is a share of images, and so an estimate with an interval of its own.
SHARES = ("accuracy", "error_rate")
# Which of the configuration's margins says how little of a figure matters; of counts every one does.
MARGINS = {
    "accuracy": "classification",
    "error_rate": "classification",
    "dice": "segmentation",
    "iou": "segmentation",
    "pixel_accuracy": "segmentation",
}


def claims(
    profile: str,
    experiments: Mapping[str, Mapping[str, Any]],
    results: Path,
    prepared: Path,
    path: Path,
    *,
    margins: Mapping[str, float],
    resamples: int,
    source: Path = CLAIMS,
) -> None:
    """Write `claims.csv`, one row a claim in the order of `claims.yaml`.

    Parameters
    ----------
    profile
        The configuration's.
    experiments
        Every experiment of the configuration by name, with its `dataset` and `task`.
    results
        The folder that holds `experiments/NAME/{metrics.json,cost.json,scores.csv}` and `models/NAME/`.
    prepared
        `data/prepared`, which holds `DATASET/{dataset.json,index.csv}`.
    path
        Of the table, usually `results/comparison/claims.csv`.
    margins
        By kind of task, the difference of its score that is worth nothing.
    resamples
        Bootstrap resamples an interval.
    source
        The claims.

    Raises
    ------
    BakeoffError
        If the claims are not right, or an experiment of the configuration that answers to one has no results.
    """
    config = _Findings(experiments, results, prepared, resamples)
    table = pd.DataFrame([_row(claim, profile, config, margins) for claim in read_claims(source)])
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, table.to_csv(index=False, float_format="%.10g"))
    counts = table["verdict"].value_counts()
    log.info("%d claims: %s.", len(table), ", ".join(f"{count} {verdict}" for verdict, count in counts.items()))


def _row(claim: Claim, profile: str, config: "_Findings", margins: Mapping[str, float]) -> dict[str, Any]:
    reason = why_not(claim, profile, config)
    found = _shown_estimate(claim, claim.as_published, config)
    corrected = _shown_estimate(claim, claim.corrected, config)
    answer = found if _answering(claim) is claim.as_published else corrected
    verdict = judge(
        Evidence(
            claimed=claim.claim.value,
            shown=claim.shown.value,
            found=answer,
            reason=reason,
            images=claim.published.images if claim.figure in SHARES else None,
            majority=claim.published.majority,
            inflation=None if reason or not claim.corrected.removes_leak else config.inflation(claim),
            leak=claim.corrected.removes_leak,
            named=claim.data.named,
            explained=claim.as_published.explained,
            margin=margins[MARGINS[claim.figure]] if claim.figure in MARGINS else 0.0,
        )
    )
    return {
        "id": claim.id,
        "system": claim.system,
        "where": claim.where,
        "figure": claim.figure,
        "data": claim.data.words,
        "claim": claim.claim.words,
        "claimed": _plain(claim.claim.value),
        "shown": claim.shown.words,
        "shown_value": _plain(claim.shown.value),
        **_columns("published_protocol", claim.as_published, found),
        **_columns("corrected_protocol", claim.corrected, corrected),
        "comparable": "yes" if reason is None else f"no: {reason}",
        "verdict": verdict.outcome,
        "sentence": verdict.sentence,
    }


def _columns(prefix: str, protocol: Protocol, estimate: Estimate | None) -> dict[str, Any]:
    name = f"{protocol.experiment} - {protocol.against}" if protocol.against else protocol.experiment
    values = (
        (None, None, None, None) if estimate is None else (estimate.value, estimate.low, estimate.high, estimate.images)
    )
    return {
        f"{prefix}_experiment": name,
        **dict(zip((f"{prefix}_{end}" for end in ("value", "low", "high", "images")), values, strict=True)),
        f"{prefix}_note": protocol.note,
    }


def _plain(value: bool | float | None) -> str | None:
    """Yes or no, or a number with all its digits."""
    if value is None:
        return None
    return words(value) if isinstance(value, bool) else f"{value:.10g}"


def _shown_estimate(claim: Claim, protocol: Protocol, config: "_Findings") -> Estimate | None:
    """What an experiment found, but for what measures nothing that a claim is about: scores on drawn images, and how
    many parameters are frozen where none is.
    """
    if not config.holds(protocol) or _thawed(claim, protocol, config):
        return None
    if claim.figure not in PARAMETERS and config.data(protocol).synthetic:
        return None
    if claim.figure in PARAMETERS:
        return config.parameters(str(protocol.experiment), claim.figure)
    return config.score(claim.figure, protocol)


# -- whether what was run says anything of a claim -------------------------------------------------------------------


@dataclass(frozen=True)
class DataState:
    """What of a data set was run: `about` is its `dataset.json`."""

    about: Mapping[str, Any]

    @property
    def synthetic(self) -> bool:
        """Whether its images were drawn."""
        return bool(self.about["synthetic"])

    def faults(self, wanted: str, size: int | None, classes: Mapping[str, int] = MappingProxyType({})) -> list[str]:
        """What keeps it from being what a claim was measured on, in words; nothing if no image plays a part.

        Parameters
        ----------
        wanted
            any, whole or official: see `bakeoff.claims.Conditions`.
        size
            Side of the published images in pixels, or None where it plays no part.
        classes
            How many values a label has in the published data, by label.
        """
        if wanted == "any":
            return []
        if self.synthetic:
            return ["only synthetic images were drawn"]
        listed, published = self.about["counts"]["listed"], (self.about["published"] or {}).get("listed")
        faults = []
        if published is not None and listed < published:
            faults.append(f"a subset, {listed:,} of {published:,} images")
        for label, values in classes.items():
            here = len(self.about["counts"]["by_label"].get(label, ()))
            if 0 < here < values:
                faults.append(f"{here} of {values} values of '{label}'")
        if wanted == "official" and not all(file["official"] for file in self.about["provenance"]["files"]):
            faults.append("a mirror's copies and not the official bytes")
        if size is not None and self.about["size"] < size:
            faults.append(f"smaller images, {self.about['size']} pixels where {size} were published")
        return faults


def _answering(claim: Claim) -> Protocol:
    """The protocol that a claim is judged by: the published one.

    That one method leads another is a claim about both, and where no experiment favours either as the published
    protocol did, the corrected one answers. A number is of its own protocol, and of no other.
    """
    return claim.corrected if claim.as_published.experiment is None and claim.corrected.against else claim.as_published


def why_not(claim: Claim, profile: str, config: "_Findings") -> str | None:
    """Why what was run cannot be compared with a claim; None where it can."""
    protocol = _answering(claim)
    if protocol.experiment is None:
        return claim.as_published.note.rstrip(".")
    needed: tuple[Protocol, ...] = (protocol, claim.corrected) if claim.corrected.removes_leak else (protocol,)
    for each in needed:
        if not config.holds(each):
            return f"the configuration no longer has {' and '.join(config.missing(each))}"
    if claim.incomparable is not None:
        return claim.incomparable
    from_random_weights = any(config.random(each) for each in needed)
    faults = _differences(claim.comparable_when, claim.data, profile, config.data(protocol), from_random_weights)
    if _thawed(claim, protocol, config):
        faults.append("the encoder is not frozen at this profile")
    return "; ".join(faults) or None


def _thawed(claim: Claim, protocol: Protocol, config: "_Findings") -> bool:
    """Whether a claim is of what a frozen encoder leaves to learn, and the experiment's encoder learns too."""
    split = claim.figure in ("parameters_trainable", "parameters_frozen")
    return split and config.frozen(str(protocol.experiment)) == 0


def _differences(
    needed: Conditions, published: PublishedData, profile: str, data: DataState, from_random_weights: bool
) -> list[str]:
    faults = data.faults(needed.data, published.size, published.classes)
    if data.synthetic:
        return faults  # says it all
    if needed.profile == "full" and profile != "full":
        faults.append(f"trained for as long as the profile {profile} has it")
    if needed.weights == "pretrained" and from_random_weights:
        faults.append("started from random weights, the published from pretrained ones")
    return faults


# -- what the configuration's experiments found
# -------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Findings:
    """The results of the configuration's experiments, read when a claim asks for them."""

    experiments: Mapping[str, Mapping[str, Any]]
    results: Path
    prepared: Path
    resamples: int

    @cached_property
    def _read(self) -> dict[Path, Any]:
        return {}

    def missing(self, protocol: Protocol) -> list[str]:
        """Experiments that a protocol names and the configuration has not."""
        named = (protocol.experiment, protocol.against)
        return [f"'{name}'" for name in named if name is not None and name not in self.experiments]

    def holds(self, protocol: Protocol) -> bool:
        return protocol.experiment is not None and not self.missing(protocol)

    def data(self, protocol: Protocol) -> DataState:
        dataset = self.experiments[str(protocol.experiment)]["dataset"]
        return DataState(self._json(self.prepared / dataset / "dataset.json"))

    def random(self, protocol: Protocol) -> bool:
        """Whether a network of the protocol started from random weights in place of pretrained ones."""
        names = [each for each in (protocol.experiment, protocol.against) if each is not None]
        return any(self._of(name, "cost.json").get("weights") == "random" for name in names)

    def score(self, figure: str, protocol: Protocol) -> Estimate:
        """The mean over images of a score and its interval, or the lead of one experiment over another."""
        name = str(protocol.experiment)
        if protocol.against:
            return self._lead(name, protocol.against, figure)
        metrics = self._of(name, "metrics.json")
        ends = metrics["accuracy" if figure == "error_rate" else figure]
        value, low, high = ends["mean"], ends["low"], ends["high"]
        if figure == "error_rate":
            value, low, high = 1 - value, 1 - high, 1 - low
        return Estimate(value, low, high, metrics["images"])

    def inflation(self, claim: Claim) -> Estimate:
        """Score with a claim's leak minus score without it, as `inflation.csv` has it."""
        leaky, honest = str(claim.as_published.experiment), str(claim.corrected.experiment)
        with_leak, without = self._by_image(leaky, claim.figure), self._by_image(honest, claim.figure)
        found = leakage_effect(with_leak, without, self._groups(leaky), resamples=self.resamples)
        return Estimate(found.difference, found.low, found.high, len(with_leak))

    def _lead(self, first: str, second: str, figure: str) -> Estimate:
        """Mean score of the first minus the second, paired by image."""
        one, other = self._by_image(first, figure), self._by_image(second, figure)
        if set(one.index) != set(other.index):
            raise BakeoffError(f"'{first}' and '{second}' were scored on other images: run `dvc repro` to score again.")
        paired = compare_paired(
            one.to_numpy(),
            other.loc[one.index].to_numpy(),
            groups=self._groups(first).loc[one.index].to_numpy(),
            binary=figure == "accuracy",
            resamples=self.resamples,
        )
        return Estimate(paired.difference, paired.low, paired.high, paired.images)

    def _by_image(self, name: str, figure: str) -> pd.DataFrame:
        """A score by image and seed, float64, (images, seeds)."""
        scores = self._table(self.results / "experiments" / name / "scores.csv")
        return seed_scores(scores, COMPARED[figure])

    def _groups(self, name: str) -> pd.Series:
        """Group of every image of an experiment's data set, by id."""
        return self._table(self.prepared / self.experiments[name]["dataset"] / "index.csv").set_index("id")["group"]

    def parameters(self, name: str, figure: str) -> Estimate:
        """A count of parameters as Keras has it: running means and variances too, which never train."""
        stored, trainable = self._stored(name), self._record(name)["parameters_trainable"]
        counts = (stored, trainable, stored - trainable)
        count = float(dict(zip(PARAMETERS, counts, strict=True))[figure])
        return Estimate(count, count, count)

    def frozen(self, name: str) -> int:
        """Parameters, without running statistics, that do not learn."""
        record = self._record(name)
        return int(record["parameters"] - record["parameters_trainable"])

    def _stored(self, name: str) -> int:
        """Numbers in a trained network's file, from its header alone; counters of batches are none of them."""
        path = next(iter(sorted((self.results / "models" / name).glob("seed0*.safetensors"))), None)
        if path is None:
            raise BakeoffError(
                f"{self.results / 'models' / name} holds no network of seed 0: run `bakeoff fit {name}`."
            )
        try:
            with safe_open(path, framework="numpy") as file:
                names = [key for key in file.keys() if not key.endswith("num_batches_tracked")]  # noqa: SIM118
                return sum(prod(file.get_slice(key).get_shape()) for key in names)
        except SafetensorError as error:
            raise BakeoffError(f"{path} cannot be read ({error}): run `bakeoff fit {name}` again.") from None

    def _record(self, name: str) -> Any:
        folder = self.results / "models" / name
        path = next(iter(sorted(folder.glob("seed0*.json"))), folder / "seed0.json")
        return self._json(path)

    def _of(self, name: str, file: str) -> Any:
        return self._json(self.results / "experiments" / name / file)

    def _json(self, path: Path) -> Any:
        if path not in self._read:
            self._read[path] = json.loads(_existing(path).read_text(encoding="utf-8"))
        return self._read[path]

    def _table(self, path: Path) -> pd.DataFrame:
        if path not in self._read:
            self._read[path] = pd.read_csv(
                _existing(path), dtype={"id": str, "group": str, "label": str}, keep_default_na=False
            )
        table: pd.DataFrame = self._read[path]
        return table


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise BakeoffError(f"{path} is missing: run `dvc repro` to make it.")
    return path
