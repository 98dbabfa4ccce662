"""`bakeoff diff`: two revisions of a real git and DVC repository, and the files as they are, image by image."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.diff.differences import Change, Differences, compare_revisions
from bakeoff.diff.table import as_json, as_markdown, as_text, summary
from bakeoff.evaluation.paired import compare_paired, holm
from ruamel.yaml import YAML

MARGINS = {"segmentation": 0.01, "classification": 0.01}
IMAGES = 40
IDS = [f"{number:02}" for number in range(IMAGES)]  # as numbers they would not be the ids of index.csv
GROUPS = [f"patient{number // 2}" for number in range(IMAGES)]
PIPELINE = """
stages:
  prepare:
    cmd: bakeoff prepare lungs
    outs: [data/prepared/lungs]
  evaluate:
    foreach: ${scored}
    do:
      cmd: bakeoff evaluate ${item}
      outs: ["results/evaluation/${item}/experiments"]
"""


class Project:
    """A project with a configuration, a prepared data set and scores, in git and DVC."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def git(self, *arguments: str) -> None:
        subprocess.run(
            ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *arguments], cwd=self.root, check=True
        )

    def commit(self, tag: str) -> None:
        """Put what the pipeline wrote into DVC's cache, everything else into git, and name the revision."""
        from dvc.repo import Repo

        with Repo(str(self.root)) as repo:
            repo.commit(force=True)
        self.git("add", "-A")
        self.git("commit", "--allow-empty", "-qm", tag)
        self.git("tag", tag)

    def write_config(self, experiments: Iterable[str], *, scored: Iterable[str] = ("masks", "diagnosis")) -> None:
        """A configuration of thresholds, a network and, with "svm" in the name, classifiers; `scored` are the tasks
        whose evaluation is in the pipeline."""
        names = list(experiments)
        tasks = {
            "masks": {"dataset": "lungs", "kind": "segmentation"},
            "diagnosis": {"dataset": "lungs", "kind": "classification", "target": "diagnosis"},
        }
        entries = {
            "baselines": {
                "masks": {"methods": {name: {} for name in names if not {"svm", "unet"} & {name}}},
                "diagnosis": {"methods": {name: {} for name in names if name == "svm"}},
            },
            "networks": {name: {"task": "masks"} for name in names if name == "unet"},
        }
        config = {"tasks": tasks, "experiments": entries, "scored": list(scored)}
        (self.root / "params.yaml").write_text(json.dumps(config, indent=1))  # JSON is YAML

    def write_images(
        self, *, synthetic: bool = False, archive: str = "a", classes: tuple[str, ...] = ("background", "lung")
    ) -> None:
        """The prepared data set, from one archive."""
        folder = self.root / "data" / "prepared" / "lungs"
        folder.mkdir(parents=True, exist_ok=True)
        about: dict[str, Any] = {"classes": classes, "background": 0, "synthetic": synthetic}
        about |= {"provenance": {"files": [{"name": "lungs.zip", "sha256": archive}]}}
        (folder / "dataset.json").write_text(json.dumps(about))
        pd.DataFrame({"id": IDS, "group": GROUPS}).to_csv(folder / "index.csv", index=False)

    def write_scores(self, experiment: str, scores: np.ndarray, ids: list[str] = IDS, column: str = "dice") -> None:
        """`scores` (images,) or (images, seeds)."""
        by_seed = scores.reshape(len(ids), -1)
        path = self.scores(experiment)
        path.parent.mkdir(parents=True, exist_ok=True)
        tables = [pd.DataFrame({"id": ids, "seed": seed, column: each}) for seed, each in enumerate(by_seed.T)]
        pd.concat(tables).to_csv(path, index=False, float_format="%.6f")

    def scores(self, experiment: str) -> Path:
        task = "diagnosis" if experiment == "svm" else "masks"
        return self.root / "results" / "evaluation" / task / "experiments" / experiment / "scores.csv"

    def compare(self, a: str = "before", b: str | None = "after") -> Differences:
        return compare_revisions(a, b, self.root, margins=MARGINS, resamples=500)

    def copy(self, to: Path) -> "Project":
        shutil.copytree(self.root, to, symlinks=True)
        return Project(to)


RANDOM = np.random.default_rng(0)
DICE = RANDOM.uniform(0.6, 0.8, IMAGES).round(6)
ISODATA = DICE + 0.001  # no other scores are the same file
GAIN = RANDOM.uniform(0.02, 0.08, IMAGES).round(6)
NOISE = RANDOM.normal(0, 0.1, IMAGES).clip(-0.3, 0.2).round(6)
APART = 0.01 * (-1) ** np.arange(IMAGES)  # of two seeds of the same mean
RIGHT = np.arange(IMAGES) % 2  # one of every two images of a patient


@pytest.fixture(scope="module")
def committed(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Two revisions, `before` and `after`, and the files of the latter."""
    project = Project(tmp_path_factory.mktemp("committed") / "project")
    project.root.mkdir()
    from dvc.repo import Repo

    project.git("init", "-q")
    Repo.init(str(project.root)).close()
    (project.root / "dvc.yaml").write_text(PIPELINE)
    (project.root / ".gitignore").write_text("/data\n/results\n")
    project.write_config([], scored=[])
    project.write_images()
    project.commit("nothing-scored")

    names = ["otsu", "li", "yen", "triangle", "isodata", "svm", "unet"]
    project.write_config([*names, "minimum"])
    for name in names:
        project.write_scores(name, DICE)
    project.write_scores("isodata", ISODATA)
    project.write_scores("unet", DICE + 0.002)
    project.write_scores("svm", RIGHT, column="correct")
    project.commit("before")

    project.write_config([*names, "mean"])
    project.write_scores("otsu", np.stack([DICE + GAIN - APART, DICE + GAIN + APART], axis=1))
    project.write_scores("li", DICE - GAIN)
    project.write_scores("yen", DICE + NOISE)
    project.write_scores("triangle", np.stack([DICE, DICE], axis=1))
    project.write_scores("mean", DICE)
    project.write_scores("svm", np.where(np.arange(IMAGES) < 20, 1, RIGHT), column="correct")
    project.commit("after")
    return project


@pytest.fixture(scope="module")
def found(committed: Project) -> Differences:
    """From `before` to `after`."""
    return committed.compare()


@pytest.fixture
def project(committed: Project, tmp_path: Path) -> Project:
    """A copy to change."""
    return committed.copy(tmp_path / "project")


def named(found: Differences) -> dict[str, Change]:
    return {change.experiment: change for change in found.changes}


def test_every_experiment_of_both_is_changed_or_unchanged(found: Differences) -> None:
    verdicts = {change.experiment: change.verdict for change in found.changes}
    assert verdicts == {"otsu": "better", "li": "worse", "yen": "undecided", "triangle": "same", "svm": "better"}
    assert found.unchanged == ["isodata", "unet"]
    assert (found.only_in_a, found.only_in_b) == (["minimum"], ["mean"])


def test_a_score_that_is_a_mean_over_classes_is_called_one(found: Differences, project: Project) -> None:
    assert {change.score for change in found.changes} == {"Dice", "accuracy"}
    project.write_images(classes=("background", "left", "right"))
    changed = named(project.compare("before", None))
    assert (changed["otsu"].score, changed["svm"].score) == ("mean Dice", "accuracy")


def test_the_difference_is_the_second_less_the_first_with_seeds_averaged(found: Differences) -> None:
    otsu = named(found)["otsu"]
    assert otsu.paired is not None
    assert otsu.paired.difference == pytest.approx(GAIN.mean(), abs=1e-9)
    assert otsu.paired.low < GAIN.mean() < otsu.paired.high
    assert (otsu.a.mean, otsu.b.mean) == pytest.approx((DICE.mean(), (DICE + GAIN).mean()))
    assert otsu.a.low < otsu.a.mean < otsu.a.high
    assert (otsu.images, otsu.images_a, otsu.images_b) == (IMAGES, IMAGES, IMAGES)


def test_the_tests_are_those_of_the_comparison_by_group_and_corrected_as_one_family(found: Differences) -> None:
    changes = named(found)
    yen = compare_paired(DICE + NOISE, DICE, groups=np.array(GROUPS), binary=False, resamples=500)
    assert changes["yen"].paired is not None
    assert changes["yen"].paired.p_value == pytest.approx(yen.p_value)
    assert (changes["yen"].paired.low, changes["yen"].paired.high) == pytest.approx((yen.low, yen.high))
    tested = [change for change in changes.values() if change.paired]
    assert len(tested) == 4, "what is the same on every image is not tested"
    corrected = holm(np.array([change.paired.p_value for change in tested if change.paired]))
    assert [change.p_holm for change in tested] == corrected.tolist()
    assert changes["yen"].images_to_decide > IMAGES


def test_a_classification_is_compared_by_accuracy(found: Differences) -> None:
    svm = named(found)["svm"]
    assert svm.score == "accuracy"
    assert svm.paired is not None
    assert (svm.a.mean, svm.b.mean, svm.paired.difference) == pytest.approx((0.5, 0.75, 0.25))


def test_the_workspace_is_the_files_as_they_are(project: Project) -> None:
    assert (
        summary(project.compare("after", None)) == "From after to workspace no scores changed: 8 experiments compared."
    )
    project.scores("isodata").unlink()  # DVC may have linked it to its cache
    project.write_scores("isodata", ISODATA + GAIN)
    found = project.compare("after", None)
    assert [change.experiment for change in found.changes] == ["isodata"]
    assert found.changes[0].verdict == "better"
    assert len(found.unchanged) == 7


def test_the_other_way_round_what_was_better_is_worse(committed: Project, found: Differences) -> None:
    there, back = named(found), named(committed.compare("after", "before"))
    assert back["otsu"].verdict == "worse"
    assert there["otsu"].paired is not None
    assert back["otsu"].paired is not None
    assert back["otsu"].paired.difference == pytest.approx(-there["otsu"].paired.difference)


def test_unchanged_scores_are_not_read(project: Project) -> None:
    cached(project, "isodata").unlink()
    assert project.compare().unchanged == ["isodata", "unet"]


def test_images_are_joined_by_id(project: Project) -> None:
    project.scores("isodata").unlink()
    kept = IDS[:5:-1]  # in another order, without the first six
    project.write_scores("isodata", (ISODATA + GAIN)[:5:-1], ids=kept)
    isodata = named(project.compare("before", None))["isodata"]
    assert (isodata.images, isodata.images_a, isodata.images_b) == (34, 40, 34)
    assert isodata.paired is not None
    assert isodata.paired.difference == pytest.approx(GAIN[6:].mean(), abs=1e-9)
    assert isodata.a.mean == pytest.approx(ISODATA[6:].mean()), "over the common images"
    assert "34 of 40 and 34" in as_text(project.compare("before", None))


def test_no_verdict_where_most_test_images_differ(project: Project) -> None:
    project.scores("isodata").unlink()
    project.write_scores("isodata", (ISODATA + GAIN)[:19], ids=IDS[:19])
    isodata = named(project.compare("after", None))["isodata"]
    assert isodata.verdict == "not compared"
    assert isodata.paired is None
    assert "19 are common to the 40 before and the 19 after" in isodata.words
    assert isodata.a.mean == pytest.approx(ISODATA.mean()), "over all of its own images"
    project.write_scores("isodata", (ISODATA + GAIN)[:20], ids=IDS[:20])
    assert named(project.compare("after", None))["isodata"].verdict == "better"


@pytest.mark.parametrize(
    ("before", "after", "compared"),
    [
        ({"synthetic": True}, {"synthetic": True}, True),
        ({"synthetic": True}, {"synthetic": True, "archive": "b"}, False),
        ({"synthetic": True}, {}, False),
        ({}, {"archive": "b"}, True),
    ],
    ids=["same drawing", "drawn anew", "real after drawn", "real, another archive"],
)
def test_pictures_drawn_anew_are_others_though_their_names_are_the_same(
    project: Project, before: dict, after: dict, compared: bool
) -> None:
    project.write_images(**before)
    project.commit("first")
    project.scores("isodata").unlink()
    project.write_scores("isodata", ISODATA + GAIN)
    project.write_images(**after)
    change = named(project.compare("first", None))["isodata"]
    assert change.verdict == ("better" if compared else "not compared")


def test_an_experiment_of_another_kind_is_not_compared(project: Project) -> None:
    config = project.root / "params.yaml"
    text = config.read_text()
    config.write_text(text.replace('"kind": "segmentation"', '"kind": "classification"'))
    assert config.read_text() != text
    for name in ("otsu", "li", "yen", "triangle", "isodata", "mean", "unet"):
        project.scores(name).unlink()
        project.write_scores(name, RIGHT, column="correct")
    otsu = named(project.compare("after", None))["otsu"]
    assert otsu.verdict == "not compared"
    assert "kind was segmentation and is classification" in otsu.words


def test_what_was_not_scored_is_named(project: Project) -> None:
    project.scores("isodata").unlink()
    found = project.compare("after", None)
    assert found.unscored_in_b == ["isodata"]
    assert "Without scores in workspace (`dvc pull` or `dvc repro` gets them): isodata." in as_text(found)


def test_a_task_whose_list_of_files_is_not_at_hand_does_not_keep_the_others_from_being_compared(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As in a clone that has pulled one task alone."""
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))  # where DVC keeps lists that it has read
    for revision in ("before", "after"):
        cached_listing(project, "diagnosis", revision).unlink()
    found = project.compare()
    assert found.unscored_in_a == ["svm"]
    assert {change.experiment for change in found.changes} == {"otsu", "li", "yen", "triangle"}
    assert "Without scores in before (`dvc fetch --all-commits` gets them): svm." in as_text(found)


def test_an_experiment_that_has_moved_to_another_task_of_the_same_question_is_compared(project: Project) -> None:
    config = project.root / "params.yaml"
    told = json.loads(config.read_text())
    told["tasks"]["other-masks"] = told["tasks"]["masks"]
    told["experiments"]["networks"]["unet"]["task"] = "other-masks"
    config.write_text(json.dumps(told))
    there = project.scores("unet").parents[2].with_name("other-masks") / "experiments" / "unet"
    there.mkdir(parents=True)
    project.scores("unet").rename(there / "scores.csv")
    found = project.compare("after", None)
    assert (found.changes, "unet" in found.unchanged) == ([], True)


def test_a_revision_that_does_not_exist(committed: Project) -> None:
    with pytest.raises(BakeoffError, match=r"There is no revision 'nosuch': .*`git fetch`"):
        committed.compare("nosuch")


def test_a_folder_that_is_no_repository(tmp_path: Path) -> None:
    with pytest.raises(BakeoffError, match="DVC cannot open revision 'HEAD' of this folder"):
        Project(tmp_path).compare("HEAD")


def test_revisions_without_common_scores(project: Project) -> None:
    with pytest.raises(BakeoffError, match="'nothing-scored' and 'after' have no experiment in common"):
        project.compare("nothing-scored", "after")
    shutil.rmtree(project.root / "results")
    with pytest.raises(
        BakeoffError, match=r"'workspace' has scores of no.*/masks/experiments/otsu/scores.csv is.*dvc pull"
    ):
        project.compare("before", None)


@pytest.mark.parametrize("lists", [True, False], ids=["lists of files", "nothing"])
def test_scores_that_are_in_no_cache_are_named_with_their_revision(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, lists: bool
) -> None:
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    for file in (project.root / ".dvc" / "cache" / "files").rglob("*"):
        if file.is_file() and not (lists and file.suffix == ".dir"):
            file.unlink()
    with pytest.raises(
        BakeoffError, match=r"of revision 'before' is in neither DVC's cache.*`dvc fetch --all-commits`"
    ):
        project.compare("before", None)


def test_scores_that_only_a_remote_has_are_read_from_there(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from dvc.repo import Repo

    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    remote = f"[core]\nremote = shelf\n['remote \"shelf\"']\nurl = {tmp_path / 'shelf'}\n"
    (project.root / ".dvc" / "config").write_text(remote)
    project.commit("shelved")
    project.scores("isodata").unlink()
    project.write_scores("isodata", ISODATA + GAIN)
    project.commit("changed")
    with Repo(str(project.root)) as repo:
        repo.push(all_commits=True)
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "another-site"))
    shutil.rmtree(project.root / ".dvc" / "cache")
    assert named(project.compare("shelved", "changed"))["isodata"].verdict == "better"


def test_a_configuration_of_another_age_is_refused(project: Project) -> None:
    (project.root / "params.yaml").write_text("scored: []\nexperiments: {networks: {unet: {dataset: lungs}}}\n")
    with pytest.raises(BakeoffError, match=r"params\.yaml of 'workspace' is not written as"):
        project.compare("after", None)


def test_the_table_is_aligned_and_ends_in_a_sentence(found: Differences) -> None:
    lines = as_text(found).splitlines()
    header, otsu = lines[0], lines[1]
    assert header.split() == ["experiment", "score", "images", "before", "after", "difference", "p", "verdict"]
    assert otsu.startswith("otsu")
    for column, cell in (
        ("before", f"{DICE.mean():.4f} ["),
        ("difference", f"{GAIN.mean():+.4f} ["),
        ("verdict", "better"),
    ):
        assert otsu[header.index(column) :].startswith(cell), column
    assert lines[-1] == (
        "From before to after the scores of 5 of 7 experiments changed: 2 better, 1 worse, 1 undecided, 1 with "
        "the same headline score on every image; 2 unchanged."
    )


def test_markdown_is_one_table(found: Differences) -> None:
    text = as_markdown(found)
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len(table) == 2 + 4  # header, rule, and what changed on some image
    assert {line.count("|") for line in table} == {9}
    assert text.startswith("\n".join(table) + "\n\n")


def test_json_says_all_that_is_known(found: Differences) -> None:
    told = json.loads(as_json(found))
    changes = {change["experiment"]: change for change in told["changes"]}
    assert changes["otsu"]["difference"]["mean"] == pytest.approx(GAIN.mean(), abs=1e-9)
    assert changes["otsu"]["test"] == "Wilcoxon signed-rank"
    assert changes["triangle"]["difference"] is None
    assert told["unchanged"] == ["isodata", "unet"]
    assert told["summary"] == summary(found)


def test_importing_it_does_not_wait_for_dvc() -> None:
    code = "import sys, bakeoff.diff.table; print(sorted({'dvc', 'git', 'torch'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "[]\n"


def cached_listing(project: Project, task: str, revision: str) -> Path:
    """Where DVC's cache has the list of files of a task's evaluation in a revision."""
    lock = subprocess.run(
        ["git", "show", f"{revision}:dvc.lock"], cwd=project.root, check=True, capture_output=True, text=True
    ).stdout
    return in_cache(project, YAML(typ="safe").load(lock)["stages"][f"evaluate@{task}"]["outs"][0]["md5"])


def cached(project: Project, experiment: str) -> Path:
    """Where DVC's cache has the scores of an experiment."""
    listing = json.loads(cached_listing(project, "masks", "after").read_text())
    return in_cache(project, next(file["md5"] for file in listing if file["relpath"] == f"{experiment}/scores.csv"))


def in_cache(project: Project, md5: str) -> Path:
    return project.root / ".dvc" / "cache" / "files" / "md5" / md5[:2] / md5[2:]
