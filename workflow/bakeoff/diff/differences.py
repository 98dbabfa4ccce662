"""What changed between two revisions, experiment by experiment, judged on the images that both tested."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from bakeoff.artefacts.errors import BakeoffError
from bakeoff.diff.revisions import (
    WORKSPACE,
    Entry,
    Images,
    Revision,
    open_revision,
    read_entries,
    read_images,
    read_scores,
    scores_path,
)
from bakeoff.evaluation.bootstrap import Interval
from bakeoff.evaluation.comparison import Kind, kind_of, seed_scores
from bakeoff.evaluation.paired import Paired, Verdict, compare_paired, holm, holm_factors, verdict

# Verdicts that no test gives.
SAME, NOT_COMPARED = "same", "not compared"


@dataclass(frozen=True)
class Change:
    """An experiment whose scores are not the same file in both revisions.

    Attributes
    ----------
    experiment, score
        Its name, and its headline score in words.
    a, b
        The headline score in either revision, with its 95 % interval: over the images that both tested, or over all of
        its own where the two are not compared.
    images, images_a, images_b
        Tested by both, by the first, by the second.
    paired
        The second minus the first, by image, and its test; None if nothing was tested.
    p_holm
        Its p-value, corrected for the number of experiments tested.
    verdict
        better, worse, equivalent or undecided: the second against the first; same, if no image's score changed; or not
        compared.
    images_to_decide
        How many images would decide what is undecided.
    words
        The verdict in words, with its reason.
    """

    experiment: str
    score: str
    a: Interval
    b: Interval
    images: int
    images_a: int
    images_b: int
    paired: Paired | None
    p_holm: float | None
    verdict: str
    images_to_decide: int | None
    words: str


@dataclass(frozen=True)
class Differences:
    """What `compare_revisions` found.

    Attributes
    ----------
    a, b
        Names of the revisions.
    changes
        In the order of the second configuration.
    unchanged
        Experiments whose scores are the same file in both.
    only_in_a, only_in_b
        Experiments of one configuration alone.
    unscored_in_a, unscored_in_b
        Experiments of both configurations that one revision has no scores of.
    """

    a: str
    b: str
    changes: list[Change]
    unchanged: list[str]
    only_in_a: list[str]
    only_in_b: list[str]
    unscored_in_a: list[str]
    unscored_in_b: list[str]


@dataclass(frozen=True)
class _Pair:
    """An experiment's headline score in two revisions, (images, seeds) by id, and the images' groups in either."""

    experiment: str
    kind: Kind
    a: pd.DataFrame
    b: pd.DataFrame
    groups_a: pd.Series
    groups_b: pd.Series
    incomparable: str | None

    @property
    def common(self) -> pd.Index:
        """Ids of the images that both tested."""
        return self.b.index[self.b.index.isin(self.a.index)]

    @property
    def is_same(self) -> bool:
        """Whether no image's score changed, but for the rounding of a mean over seeds."""
        a, b = (scores.loc[self.common].mean(axis=1) for scores in (self.a, self.b))
        return self.incomparable is None and np.allclose(a, b, rtol=0, atol=1e-9)


def compare_revisions(
    name_a: str, name_b: str | None, root: Path, *, margins: Mapping[str, float], resamples: int
) -> Differences:
    """Compare the scores of every experiment that two revisions have.

    Parameters
    ----------
    name_a, name_b
        A commit, tag or branch, or `workspace`, the files as they are; None is `workspace` too.
    root
        The project's folder.
    margins
        By kind of task, the difference of the headline score below which two methods are equivalent in practice.
    resamples
        Bootstrap resamples an interval.

    Returns
    -------
    Differences
        Seeds are averaged within an image, images of a group resampled together, and the p-values corrected after Holm
        over all experiments that are tested: the more that changed, the more would seem to differ by chance.

    Raises
    ------
    BakeoffError
        If git does not know a revision, a file that is needed is in neither DVC's cache nor a remote, or no experiment
        has scores in both.
    """
    a, b = open_revision(name_a, root), open_revision(name_b or WORKSPACE, root)
    entries_a, entries_b = read_entries(a), read_entries(b)
    shared = [name for name in entries_b if name in entries_a]
    if not shared:
        raise BakeoffError(
            f"The configurations of '{a.name}' and '{b.name}' have no experiment in common: name nearer revisions."
        )
    paths_a, paths_b = (
        {name: scores_path(each[name].task, name) for name in shared} for each in (entries_a, entries_b)
    )
    md5_a, md5_b = ({name: each.md5(paths[name]) for name in shared} for each, paths in ((a, paths_a), (b, paths_b)))
    scored = [name for name in shared if md5_a[name] and md5_b[name]]
    if not scored:
        missing, paths = (b, paths_b) if any(md5_a.values()) else (a, paths_a)
        raise BakeoffError(f"'{missing.name}' has scores of no experiment. {missing.absent(paths[shared[0]])}")
    changed = [name for name in scored if md5_a[name] != md5_b[name]]
    images = cache(read_images)  # many experiments are of one data set
    pairs = [_read_pair(name, (a, entries_a[name]), (b, entries_b[name]), images) for name in changed]
    return Differences(
        a.name,
        b.name,
        _judge(pairs, margins, resamples),
        unchanged=[name for name in scored if md5_a[name] == md5_b[name]],
        only_in_a=[name for name in entries_a if name not in entries_b],
        only_in_b=[name for name in entries_b if name not in entries_a],
        unscored_in_a=[name for name in shared if not md5_a[name]],
        unscored_in_b=[name for name in shared if not md5_b[name]],
    )


def _read_pair(
    name: str, before: tuple[Revision, Entry], after: tuple[Revision, Entry], images: Callable[[Revision, str], Images]
) -> _Pair:
    scores_a, scores_b = (_read_scores(name, *side) for side in (before, after))
    data_a, data_b = (images(revision, entry.dataset) for revision, entry in (before, after))
    why_not = _another_question(before[1], after[1]) or _other_images(data_a, data_b, scores_a, scores_b)
    return _Pair(name, kind_of(vars(after[1]), data_b.about), scores_a, scores_b, data_a.groups, data_b.groups, why_not)


def _read_scores(name: str, revision: Revision, entry: Entry) -> pd.DataFrame:
    column = kind_of(vars(entry), None).column
    return seed_scores(read_scores(revision, scores_path(entry.task, name), column), column)


def _another_question(a: Entry, b: Entry) -> str | None:
    """What keeps the scores of two entries of one name from being compared, if anything does."""
    told = [
        f"{key} was {old} and is {new}"
        for key in ("dataset", "kind", "target", "score")
        if (old := getattr(a, key)) != (new := getattr(b, key))
    ]
    return "; ".join(told) or None


def _other_images(data_a: Images, data_b: Images, a: pd.DataFrame, b: pd.DataFrame) -> str | None:
    """The same of the images that were tested."""
    if data_a.drawn_from != data_b.drawn_from:
        return "the images are others of the same names, drawn anew or real in one revision alone"
    common = int(b.index.isin(a.index).sum())
    if 2 * common < max(len(a), len(b)):
        return f"most test images differ: {common} are common to the {len(a)} before and the {len(b)} after"
    return None


def _judge(pairs: Sequence[_Pair], margins: Mapping[str, float], resamples: int) -> list[Change]:
    tested = {
        pair.experiment: _test(pair, resamples) for pair in pairs if pair.incomparable is None and not pair.is_same
    }
    p_values = np.array([each.p_value for each in tested.values()])
    corrected = dict(zip(tested, zip(holm(p_values), holm_factors(p_values), strict=True), strict=True))
    changes = []
    for pair in pairs:
        paired, (p_holm, tests) = tested.get(pair.experiment), corrected.get(pair.experiment, (None, 1))
        margin = _margin(pair.kind, margins)
        judged = verdict(paired, margin=margin, p_holm=p_holm, tests=int(tests)) if paired else None
        changes.append(_change(pair, paired, p_holm, judged, resamples))
    return changes


def _margin(kind: Kind, margins: Mapping[str, float]) -> float:
    return margins["classification" if kind.binary else "segmentation"]


def _test(pair: _Pair, resamples: int) -> Paired:
    return compare_paired(
        pair.b.loc[pair.common].to_numpy(),
        pair.a.loc[pair.common].to_numpy(),
        groups=pair.groups_b.loc[pair.common].to_numpy(),
        binary=pair.kind.binary,
        resamples=resamples,
    )


def _change(pair: _Pair, paired: Paired | None, p_holm: float | None, judged: Verdict | None, resamples: int) -> Change:
    if judged:
        decided, words = str(judged.verdict), judged.words
    elif pair.incomparable:
        decided, words = NOT_COMPARED, f"is not compared: {pair.incomparable}"
    else:
        decided, words = SAME, "is the same on every image"
    over_a, over_b = (pair.a.index, pair.b.index) if pair.incomparable else (pair.common, pair.common)
    return Change(
        pair.experiment,
        pair.kind.title,
        _interval(pair.kind, pair.a.loc[over_a], pair.groups_a, resamples),
        _interval(pair.kind, pair.b.loc[over_b], pair.groups_b, resamples),
        images=len(pair.common),
        images_a=len(pair.a),
        images_b=len(pair.b),
        paired=paired,
        p_holm=None if p_holm is None else float(p_holm),
        verdict=decided,
        images_to_decide=judged.images_to_decide if judged else None,
        words=words,
    )


def _interval(kind: Kind, scores: pd.DataFrame, groups: pd.Series, resamples: int) -> Interval:
    found = kind.interval(scores.to_numpy(), groups.loc[scores.index].to_numpy(), resamples)
    return Interval(*(float(end) for end in found))
