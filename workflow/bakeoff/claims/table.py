"""Claims: what published systems say of themselves, what their own files show, and what Bakeoff finds, side by side."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd

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


@dataclass(frozen=True)
class Result:
    """What was found of an experiment.

    Attributes
    ----------
    metrics, cost
        `metrics.json` and `cost.json`.
    scores
        `scores.csv`, with the id as str.
    trainings
        The record of every training.
    about
        `dataset.json` of its data set.
    groups
        Group of every image of that data set, by id.
    """

    metrics: Mapping[str, Any]
    cost: Mapping[str, Any]
    scores: pd.DataFrame
    trainings: Sequence[Mapping[str, Any]]
    about: Mapping[str, Any]
    groups: pd.Series


def claims(
    profile: str,
    results: Mapping[str, Result],
    *,
    margins: Mapping[str, float],
    resamples: int,
    source: Path = CLAIMS,
) -> pd.DataFrame:
    """One row a claim in the order of `claims.yaml`.

    Parameters
    ----------
    profile
        The configuration's.
    results
        What was found of every experiment, by name.
    margins
        By kind of task, the smallest difference of its score that matters.
    resamples
        Bootstrap resamples an interval.
    source
        The claims.

    Raises
    ------
    BakeoffError
        If the claims are not right.
    """
    findings = _Findings(results, resamples)
    table = pd.DataFrame([_row(claim, profile, findings, margins) for claim in read_claims(source)])
    counts = table["verdict"].value_counts()
    log.info("%d claims: %s.", len(table), ", ".join(f"{count} {verdict}" for verdict, count in counts.items()))
    return table


def _row(claim: Claim, profile: str, findings: "_Findings", margins: Mapping[str, float]) -> dict[str, Any]:
    reason = why_not(claim, profile, findings)
    found = _shown_estimate(claim, claim.as_published, findings)
    corrected = _shown_estimate(claim, claim.corrected, findings)
    answer = found if _answering(claim) is claim.as_published else corrected
    verdict = judge(
        Evidence(
            claimed=claim.claim.value,
            shown=claim.shown.value,
            found=answer,
            reason=reason,
            images=claim.published.images if claim.figure in SHARES else None,
            majority=claim.published.majority,
            effect=None if reason or not claim.corrected.removes_leak else findings.leakage_effect(claim),
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


def _shown_estimate(claim: Claim, protocol: Protocol, findings: "_Findings") -> Estimate | None:
    """What an experiment found, but for what measures nothing that a claim is about: scores on drawn images, and how
    many parameters are frozen where none is.
    """
    if not findings.holds(protocol) or _thawed(claim, protocol, findings):
        return None
    if claim.figure not in PARAMETERS and findings.data(protocol).synthetic:
        return None
    if claim.figure in PARAMETERS:
        return findings.parameters(str(protocol.experiment), claim.figure)
    return findings.score(claim.figure, protocol)


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
            return ["the images are synthetic"]
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
        if size is not None and (side := min(self.about["size"])) < size:
            faults.append(f"smaller images, {side} pixels where {size} were published")
        return faults


def _answering(claim: Claim) -> Protocol:
    """The protocol that a claim is judged by: the published one.

    That one method leads another is a claim about both, and where no experiment favours either as the published
    protocol did, the corrected one answers. A number is of its own protocol, and of no other.
    """
    return claim.corrected if claim.as_published.experiment is None and claim.corrected.against else claim.as_published


def why_not(claim: Claim, profile: str, findings: "_Findings") -> str | None:
    """Why what was run cannot be compared with a claim; None where it can."""
    protocol = _answering(claim)
    if protocol.experiment is None:
        return claim.as_published.note.rstrip(".")
    needed: tuple[Protocol, ...] = (protocol, claim.corrected) if claim.corrected.removes_leak else (protocol,)
    for each in needed:
        if not findings.holds(each):
            return f"the configuration no longer has {' and '.join(findings.missing(each))}"
    if claim.incomparable is not None:
        return claim.incomparable
    from_random_weights = any(findings.random(each) for each in needed)
    faults = _differences(claim.comparable_when, claim.data, profile, findings.data(protocol), from_random_weights)
    if _thawed(claim, protocol, findings):
        faults.append("the encoder is not frozen at this profile")
    return "; ".join(faults) or None


def _thawed(claim: Claim, protocol: Protocol, findings: "_Findings") -> bool:
    """Whether a claim is of what a frozen encoder leaves to learn, and the experiment's encoder learns too."""
    split = claim.figure in ("parameters_trainable", "parameters_frozen")
    return split and findings.frozen(str(protocol.experiment)) == 0


def _differences(
    needed: Conditions, published: PublishedData, profile: str, data: DataState, from_random_weights: bool
) -> list[str]:
    faults = data.faults(needed.data, published.size, published.classes)
    if data.synthetic:
        return faults  # says it all
    if needed.profile == "full" and profile != "full":
        faults.append(f"trained at profile {profile}, not full")
    if needed.weights == "pretrained" and from_random_weights:
        faults.append("started from random weights instead of pretrained ones")
    return faults


# -- what the configuration's experiments found


@dataclass(frozen=True)
class _Findings:
    """The results of the experiments, as a claim asks for them."""

    results: Mapping[str, Result]
    resamples: int

    def missing(self, protocol: Protocol) -> list[str]:
        """Experiments that a protocol names and the configuration does not have."""
        named = (protocol.experiment, protocol.against)
        return [f"'{name}'" for name in named if name is not None and name not in self.results]

    def holds(self, protocol: Protocol) -> bool:
        return protocol.experiment is not None and not self.missing(protocol)

    def data(self, protocol: Protocol) -> DataState:
        return DataState(self.results[str(protocol.experiment)].about)

    def random(self, protocol: Protocol) -> bool:
        """Whether a network of the protocol started from random weights instead of pretrained ones."""
        names = [each for each in (protocol.experiment, protocol.against) if each is not None]
        return any(self.results[name].cost.get("weights") == "random" for name in names)

    def score(self, figure: str, protocol: Protocol) -> Estimate:
        """The mean over images of a score and its interval, or the lead of one experiment over another."""
        name = str(protocol.experiment)
        if protocol.against:
            return self._lead(name, protocol.against, figure)
        metrics = self.results[name].metrics
        ends = metrics["accuracy" if figure == "error_rate" else figure]
        value, low, high = ends["mean"], ends["low"], ends["high"]
        if figure == "error_rate":
            value, low, high = 1 - value, 1 - high, 1 - low
        return Estimate(value, low, high, metrics["images"])

    def leakage_effect(self, claim: Claim) -> Estimate:
        """Score with a claim's leak minus score without it."""
        leaking, corrected = str(claim.as_published.experiment), str(claim.corrected.experiment)
        with_leak, without = self._by_image(leaking, claim.figure), self._by_image(corrected, claim.figure)
        found = leakage_effect(with_leak, without, self.results[leaking].groups, resamples=self.resamples)
        return Estimate(found.difference, found.low, found.high, len(with_leak))

    def _lead(self, first: str, second: str, figure: str) -> Estimate:
        """Mean score of the first minus the second, paired by image."""
        one, other = self._by_image(first, figure), self._by_image(second, figure)
        if set(one.index) != set(other.index):
            raise BakeoffError(f"'{first}' and '{second}' were scored on other images: run `dvc repro` to score again.")
        paired = compare_paired(
            one.to_numpy(),
            other.loc[one.index].to_numpy(),
            groups=self.results[first].groups.loc[one.index].to_numpy(),
            binary=figure == "accuracy",
            resamples=self.resamples,
        )
        return Estimate(paired.difference, paired.low, paired.high, paired.images)

    def _by_image(self, name: str, figure: str) -> pd.DataFrame:
        """A score by image and seed, float64, (images, seeds)."""
        return seed_scores(self.results[name].scores, COMPARED[figure])

    def parameters(self, name: str, figure: str) -> Estimate:
        """A count of parameters as Keras has it: running means and variances too, which never train."""
        record = self.results[name].trainings[0]
        stored, trainable = record["numbers_stored"], record["parameters_trainable"]
        count = float(dict(zip(PARAMETERS, (stored, trainable, stored - trainable), strict=True))[figure])
        return Estimate(count, count, count)

    def frozen(self, name: str) -> int:
        """Parameters, without running statistics, that do not learn."""
        record = self.results[name].trainings[0]
        return int(record["parameters"] - record["parameters_trainable"])
