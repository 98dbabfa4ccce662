"""The truth table: what published systems claim, what their files show, and what the configuration's experiments
find."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.claims import CLAIMS, read_claims
from bakeoff.claims.table import DataState, Result, claims
from bakeoff.claims.verdict import Estimate, Evidence, difference, judge, of_share, words
from bakeoff.config import read_config
from bakeoff.evaluation.scores import seed_scores
from bakeoff.leakage.effects import LeakageEffect, leakage_effect

CONFIG_FILE = Path(__file__).resolve().parent.parent / "params.yaml"
MARGINS = {"segmentation": 0.01, "classification": 0.01}


def outcome(**evidence: Any) -> str:
    return judge(Evidence(**{"claimed": None, "shown": None, **evidence})).outcome


def sure(value: float) -> Estimate:
    return Estimate(value, value, value)


# -- the verdict -----------------------------------------------------------------------------------------------------


def test_wilson_as_published() -> None:
    # Newcombe (1998), Statistics in Medicine 17(8):857-872, table I: 81 of 263 and 15 of 148.
    assert [round(end, 4) for end in (of_share(81 / 263, 263).low, of_share(81 / 263, 263).high)] == [0.2553, 0.3662]
    assert [round(end, 4) for end in (of_share(15 / 148, 148).low, of_share(15 / 148, 148).high)] == [0.0624, 0.1605]


def test_the_difference_of_two_shares_is_newcombes() -> None:
    # Newcombe (1998), Statistics in Medicine 17(8):873-890, table II, method 10: 56/70 - 48/80 and 9/10 - 3/10.
    found = difference(of_share(56 / 70, 70), of_share(48 / 80, 80))
    assert [round(end, 4) for end in (found.value, found.low, found.high)] == [0.2, 0.0524, 0.3339]
    found = difference(of_share(0.9, 10), of_share(0.3, 10))
    assert [round(end, 4) for end in (found.value, found.low, found.high)] == [0.6, 0.1705, 0.8090]


@pytest.mark.parametrize(("claimed", "shown"), [(0.4176, 0.4095), (30.0, 22.0), (True, False)])
def test_another_number_in_its_own_files_contradicts_a_claim_whatever_was_run(claimed: Any, shown: Any) -> None:
    verdict = judge(Evidence(claimed, shown, reason="the images are synthetic"))
    assert verdict.outcome == "contradicted by its own files"
    assert words(claimed) in verdict.sentence
    assert words(shown) in verdict.sentence


def test_the_same_number_in_its_own_files_contradicts_nothing() -> None:
    assert outcome(claimed=0.9664, shown=0.9664, found=sure(0.9664)) == "confirmed"


def test_a_leak_of_a_system_that_names_no_data_would_raise_its_scores() -> None:
    verdict = judge(Evidence(None, None, found=sure(0.9), leak=True, named=False, effect=Estimate(0.1, 0.02, 0.18)))
    assert verdict.outcome == "would be raised by leakage"
    assert verdict.sentence == (
        "Leakage raises the score by 0.1000 (0.0200 to 0.1800), on a data set that fits its description."
    )


def test_an_accuracy_whose_interval_holds_the_largest_class_is_at_the_majority_class() -> None:
    assert outcome(shown=0.6803, images=1470, majority=0.6774, reason="x") == "at the majority class"
    assert outcome(shown=0.6803, images=1470, majority=0.65, reason="x") == "not comparable here"
    assert outcome(shown=0.60, images=1470, majority=0.6774, reason="x") == "at the majority class"


def test_without_a_number_there_is_nothing_to_compare() -> None:
    assert outcome(found=sure(0.5)) == "no number claimed"
    assert outcome(found=sure(0.5), reason="x") == "no number claimed"


def test_the_reason_why_nothing_can_be_compared_is_said() -> None:
    verdict = judge(Evidence(0.9, None, reason="a subset, 600 of 7,390 images"))
    assert verdict.outcome == "not comparable here"
    assert verdict.sentence == "Not compared: a subset, 600 of 7,390 images."


def test_a_leak_counts_when_its_whole_interval_is_above_the_margin() -> None:
    leaking = {"leak": True, "margin": 0.01, "found": sure(0.9)}
    assert outcome(**leaking, effect=Estimate(0.10, 0.02, 0.18)) == "raised by leakage"
    assert outcome(**leaking, effect=Estimate(0.10, 0.01, 0.19)) == "no number claimed"
    # A leak outdoes a number that the leak reproduces, and a reason not to compare outdoes both.
    assert outcome(**leaking, claimed=0.9, effect=Estimate(0.10, 0.02, 0.18)) == "raised by leakage"
    assert outcome(**leaking, claimed=0.9, effect=Estimate(0.10, -0.02, 0.22)) == "confirmed"
    assert outcome(**leaking, effect=Estimate(0.10, 0.02, 0.18), reason="x") == "not comparable here"


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (Estimate(0.899, 0.891, 0.907, 9999), "confirmed"),  # the interval holds the number, within two margins of it
        (Estimate(0.899, 0.890, 0.910, 9999), "confirmed"),  # just so
        (Estimate(0.899, 0.889, 0.909, 9999), "compatible, undecided"),  # it reaches further
        (Estimate(0.85, 0.80, 0.90, 100), "compatible, undecided"),  # it holds the number, and much else
        (Estimate(0.85, 0.84, 0.86, 9999), "not reproduced"),
        (Estimate(0.89, 0.889, 0.891, 9999), "not reproduced"),
        (Estimate(0.8951, 0.895, 0.8952, 9999), "confirmed"),  # apart, and by less than matters
        (Estimate(0.95, 0.94, 0.96, 9999), "not reproduced"),
    ],
)
def test_a_number_is_confirmed_by_an_interval_within_two_margins(found: Estimate, expected: str) -> None:
    assert outcome(claimed=0.9, found=found, margin=0.005) == expected


def test_a_claimed_share_has_an_interval_too() -> None:
    found = Estimate(0.85, 0.83, 0.87, 1000)
    assert outcome(claimed=0.9, found=found) == "not reproduced"
    assert outcome(claimed=0.9, found=found, images=1000) == "not reproduced"
    assert outcome(claimed=0.9, found=found, images=50) == "compatible, undecided"


def test_higher_and_lower_are_said_with_the_distance() -> None:
    lower = judge(Evidence(0.9, None, found=Estimate(0.8, 0.75, 0.85, 100)))
    assert lower.sentence == "Bakeoff finds 0.8000 (0.7500 to 0.8500), lower by 0.1000 (0.0500 to 0.1500)."
    higher = judge(Evidence(100.0, None, found=sure(1200.0)))
    assert higher.sentence == "Bakeoff finds 1,200, higher by 1,100."


def test_a_count_is_equal_explained_or_not_reproduced() -> None:
    assert outcome(shown=24_112_513.0, found=sure(24_112_513.0)) == "confirmed"
    assert outcome(shown=24_112_513.0, found=sure(24_085_953.0), explained=26_560) == "confirmed"
    assert outcome(shown=24_112_513.0, found=sure(24_085_953.0)) == "not reproduced"
    assert outcome(shown=24_112_513.0, found=sure(24_139_073.0), explained=26_560) == "not reproduced"


def test_a_lead_is_one_where_its_interval_lies_above_nothing() -> None:
    assert outcome(claimed=True, found=Estimate(0.02, 0.01, 0.03, 100)) == "confirmed"
    assert outcome(claimed=True, found=Estimate(0.02, 0.0, 0.04, 100), margin=0.01) == "compatible, undecided"
    assert outcome(claimed=True, found=Estimate(0.002, -0.004, 0.008, 100), margin=0.01) == "not reproduced"
    assert outcome(claimed=True, found=Estimate(-0.02, -0.03, -0.01, 100), margin=0.01) == "not reproduced"


def test_what_can_be_compared_takes_a_number() -> None:
    with pytest.raises(ValueError, match="takes what was found"):
        judge(Evidence(0.9, None))


# -- the data --------------------------------------------------------------------------------------------------------


def about(*, synthetic: bool = False, official: bool = True, listed: int = 7390, size: int = 224) -> dict[str, Any]:
    return {
        "synthetic": synthetic,
        "counts": {"listed": listed, "by_label": {}},
        "published": {"listed": 7390},
        "provenance": {"files": [{"official": True}, {"official": official}]},
        "size": [size, size],
    }


@pytest.mark.parametrize(
    ("data", "wanted", "faults"),
    [
        (about(), "official", []),
        (about(synthetic=True, listed=150, size=64), "any", []),
        (about(synthetic=True, listed=150, size=64), "whole", ["the images are synthetic"]),
        (about(official=False), "whole", []),
        (about(official=False), "official", ["a mirror's copies and not the official bytes"]),
        (about(listed=600), "whole", ["a subset, 600 of 7,390 images"]),
        (
            about() | {"counts": {"listed": 7390, "by_label": {"breed": {"Bengal": 3, "beagle": 4, "pug": 3}}}},
            "whole",
            ["3 of 37 values of 'breed'"],
        ),
        (about(size=128), "whole", ["smaller images, 128 pixels where 224 were published"]),
        (about() | {"published": None}, "official", []),
    ],
)
def test_what_keeps_data_from_being_the_published(data: dict[str, Any], wanted: str, faults: list[str]) -> None:
    assert DataState(data).faults(wanted, 224, {"breed": 37}) == faults


# -- claims.yaml -----------------------------------------------------------------------------------------------------


def test_claims_name_only_experiments_of_the_configuration_and_their_data_sets() -> None:
    config = read_config(CONFIG_FILE)
    for claim in read_claims():
        for protocol in (claim.as_published, claim.corrected):
            for name in filter(None, (protocol.experiment, protocol.against)):
                assert name in config.experiment_names(), f"{claim.id} names '{name}'"
                if claim.data.dataset is not None:
                    assert config.experiment(name)["dataset"] == claim.data.dataset, claim.id


def test_claims_ask_for_scores_of_their_experiments_kind() -> None:
    config = read_config(CONFIG_FILE)
    by_kind = {"classification": {"accuracy", "error_rate"}, "segmentation": {"dice", "iou", "pixel_accuracy"}}
    for claim in read_claims():
        if (name := claim.as_published.experiment) and not claim.figure.startswith("parameters"):
            kind = config.tasks[config.experiment(name)["task"]].kind
            assert claim.figure in by_kind[kind], claim.id


def test_every_system_has_claims_and_two_are_contradicted_by_their_own_files() -> None:
    entries = read_claims()
    assert {claim.system[:2] for claim in entries} == {"S1", "S2", "S3", "S4", "S5"}
    both = [each for each in entries if each.claim.value is not None and each.shown.value is not None]
    contradicted = {claim.id for claim in both if claim.claim.value != claim.shown.value}
    assert contradicted == {
        "pets-unet-epochs",
        "pets-segnet-train-loss",
        "pets-segnet-validation-loss",
        "catsdogs-skips",
    }


ENTRY = """
- id: {id}
  system: S
  where: its log
  figure: {figure}
  claim: {{words: a, value: {value}}}
  shown: {{words: b, value: null}}
  data: {{dataset: pets, words: c, size: null}}
  as_published: {{experiment: {experiment}, note: d{more}}}
  corrected: {{experiment: null, note: e}}
  comparable_when: {{data: any, profile: any, weights: any}}
"""


def entry(**changed: Any) -> str:
    return ENTRY.format(**{"id": "a", "figure": "accuracy", "value": 0.5, "experiment": "x", "more": "", **changed})


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("claims: [", "not valid YAML"),
        ("[]", "claims"),
        ("claims: []", "claims: list should have at least 1 item"),
        (f"claims:{entry(figure='beauty')}", "claims.a.figure: input should be"),
        (f"claims:{entry(value='many')}", "claims.a.claim.value"),
        (f"claims:{entry()}  guess: 1", "claims.a.guess: extra inputs are not permitted"),
        (f"claims:{entry(figure='loss')}", "claims.a: no experiment measures loss"),
        (f"claims:{entry(more=', against: y')}", "claims.a: 'against' answers true or false"),
        (f"claims:{entry(more=', against: y', figure='iou')}", "claims.a: 'against' compares accuracy or dice"),
        (f"claims:{entry()}{entry()}", "these for several: a"),
    ],
)
def test_mistakes_are_named_with_the_claim_and_the_key(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "claims.yaml"
    path.write_text(text)
    with pytest.raises(BakeoffError, match=r"claims\.yaml") as mistake:
        read_claims(path)
    assert sentence in str(mistake.value)


# -- the stage -------------------------------------------------------------------------------------------------------

IMAGES = 200


def claim_text(figure: str, value: Any, as_published: str, corrected: str, conditions: str, extra: str = "") -> str:
    return f"""
- id: {figure.replace("_", "-")}
  system: S
  where: its log
  figure: {figure}
  claim: {{words: a, value: {value}}}
  shown: {{words: b, value: null}}
  data: {{dataset: pets, words: c, size: 128}}
  as_published: {as_published}
  corrected: {corrected}
  comparable_when: {conditions}
{extra}"""


ANY = "{data: any, profile: any, weights: any}"
OFFICIAL = "{data: official, profile: full, weights: pretrained}"
NONE = "{experiment: null, note: none}"


def result_of(accuracy: float, *, weights: str = "official", correct_until: int = 0) -> Result:
    ends = {"mean": accuracy, "low": accuracy - 0.05, "high": accuracy + 0.05}
    correct = (np.arange(IMAGES) < correct_until).astype(int)
    scores = [pd.DataFrame({"id": np.arange(IMAGES), "seed": seed, "correct": correct}) for seed in (0, 1)]
    return Result(
        metrics={"accuracy": ends, "images": IMAGES},
        cost={"weights": weights},
        scores=pd.concat(scores),
        # 6 weights and 3 running means.
        trainings=[{"parameters": 6, "parameters_trainable": 2, "numbers_stored": 9}],
        about=about(),
        groups=pd.Series(np.arange(IMAGES), np.arange(IMAGES)),
    )


Results = dict[str, Result]
Table = Callable[..., pd.DataFrame]


@pytest.fixture
def results() -> Results:
    return {
        "leaky": result_of(0.9, correct_until=180),
        "honest": result_of(0.7, correct_until=140),
        "ungrouped": result_of(0.75, weights="random", correct_until=150),
    }


@pytest.fixture
def table(tmp_path: Path) -> Callable[..., pd.DataFrame]:
    def made(results: Results, *entries: str, profile: str = "full") -> pd.DataFrame:
        source = tmp_path / "claims.yaml"
        source.write_text("claims:" + "".join(entries))
        return claims(profile, results, margins=MARGINS, resamples=200, source=source)

    return made


def with_data(results: Results, state: dict[str, Any]) -> Results:
    return {name: replace(each, about=state) for name, each in results.items()}


def test_a_row_has_the_claim_both_protocols_and_the_verdict(results: Results, table: Table) -> None:
    [row] = table(
        results,
        claim_text("accuracy", 0.88, "{experiment: leaky, note: d}", "{experiment: honest, note: e}", OFFICIAL),
    ).to_dict("records")
    assert (row["claimed"], row["figure"], row["comparable"]) == ("0.88", "accuracy", "yes")
    columns = [f"published_protocol_{end}" for end in ("experiment", "value", "low", "high", "images")]
    assert [row[each] for each in columns] == ["leaky", 0.9, pytest.approx(0.85), pytest.approx(0.95), IMAGES]
    assert (row["corrected_protocol_experiment"], row["corrected_protocol_value"]) == ("honest", 0.7)
    assert row["verdict"] == "compatible, undecided"
    assert row["sentence"] == "Bakeoff finds 0.9000 (0.8500 to 0.9500), higher by 0.0200 (-0.0300 to 0.0700)."


def test_an_error_rate_is_what_accuracy_leaves(results: Results, table: Table) -> None:
    [row] = table(results, claim_text("error_rate", 0.3, "{experiment: honest, note: d}", NONE, OFFICIAL)).to_dict(
        "records"
    )
    assert [row[f"published_protocol_{end}"] for end in ("value", "low", "high")] == pytest.approx([0.3, 0.25, 0.35])
    assert row["verdict"] == "confirmed"


def test_parameters_count_running_statistics_and_are_compared_on_drawn_images_too(
    results: Results, table: Table
) -> None:
    results = with_data(results, about(synthetic=True))
    published = "{experiment: leaky, note: d}"
    rows = table(
        results,
        claim_text("parameters", 9, published, NONE, ANY),
        claim_text("parameters_trainable", 2, published, NONE, ANY),
        claim_text("parameters_frozen", 7, published, NONE, ANY),
        profile="sample",
    )
    assert rows["published_protocol_value"].tolist() == [9, 2, 7]
    assert rows["verdict"].tolist() == ["confirmed"] * 3
    thawed = [{"parameters": 6, "parameters_trainable": 6, "numbers_stored": 9}]
    results["leaky"] = replace(results["leaky"], trainings=thawed)
    [row] = table(results, claim_text("parameters_trainable", 2, published, NONE, ANY)).to_dict("records")
    assert row["comparable"] == "no: the encoder is not frozen at this profile"
    assert row["published_protocol_value"] is None


def test_scores_on_drawn_images_are_not_shown_beside_a_claim(results: Results, table: Table) -> None:
    results = with_data(results, about(synthetic=True, listed=150))
    both = ("{experiment: leaky, note: d}", "{experiment: honest, note: e, removes_leak: true}")
    [row] = table(results, claim_text("accuracy", 0.9, *both, OFFICIAL), profile="sample").to_dict("records")
    assert row["comparable"] == "no: the images are synthetic"
    assert row["verdict"] == "not comparable here"
    assert row["published_protocol_experiment"] == "leaky"
    assert (row["published_protocol_value"], row["corrected_protocol_value"]) == (None, None)


def test_a_row_names_all_that_keeps_it_from_being_compared(results: Results, table: Table) -> None:
    state = about(official=False, listed=600, size=64)
    results = with_data(results, state)
    [row] = table(
        results, claim_text("accuracy", 0.9, "{experiment: ungrouped, note: d}", NONE, OFFICIAL), profile="small"
    ).to_dict("records")
    assert row["comparable"] == (
        "no: a subset, 600 of 7,390 images; a mirror's copies and not the official bytes; smaller images, 64 pixels "
        "where 128 were published; trained at profile small, not full; started from random weights instead of "
        "pretrained ones"
    )
    assert row["published_protocol_value"] == 0.75


def test_a_leak_is_worth_what_the_table_of_leaks_says(results: Results, table: Table) -> None:
    def row(leaky: str) -> dict[str, Any]:
        protocols = (f"{{experiment: {leaky}, note: d}}", "{experiment: honest, note: e, removes_leak: true}")
        [found] = table(results, claim_text("accuracy", "null", *protocols, ANY)).to_dict("records")
        return found

    def effect(leaky: str) -> LeakageEffect:
        scores = (seed_scores(results[name].scores, "correct") for name in (leaky, "honest"))
        return leakage_effect(*scores, results[leaky].groups, resamples=200)

    # 40 of 200 images of one task, and 10 of those of two tasks that test the same images.
    for leaky, lead, verdict in (("leaky", 0.2, "raised by leakage"), ("ungrouped", 0.05, "raised by leakage")):
        found = effect(leaky)
        assert found.difference == lead
        assert row(leaky)["verdict"] == verdict
        assert f"{found.difference:.4f} ({found.low:.4f} to {found.high:.4f})" in row(leaky)["sentence"]


def test_images_that_only_one_protocol_tests_are_independent_samples(results: Results, table: Table) -> None:
    scores = results["ungrouped"].scores
    results["ungrouped"] = replace(results["ungrouped"], scores=scores[scores["id"] > 0])
    protocols = ("{experiment: ungrouped, note: d}", "{experiment: honest, note: e, removes_leak: true}")
    [row] = table(results, claim_text("accuracy", "null", *protocols, ANY)).to_dict("records")
    assert row["verdict"] == "no number claimed"
    assert "(-0.0" in row["sentence"]


def test_a_leak_is_not_measured_by_a_network_from_random_weights(results: Results, table: Table) -> None:
    protocols = ("{experiment: leaky, note: d}", "{experiment: ungrouped, note: e, removes_leak: true}")
    conditions = "{data: whole, profile: any, weights: pretrained}"
    [row] = table(results, claim_text("accuracy", "null", *protocols, conditions)).to_dict("records")
    assert row["comparable"] == "no: started from random weights instead of pretrained ones"


def test_a_claimed_lead_is_paired_by_image(results: Results, table: Table) -> None:
    [row] = table(
        results, claim_text("accuracy", "true", "{experiment: leaky, against: honest, note: d}", NONE, ANY)
    ).to_dict("records")
    assert (row["claimed"], row["published_protocol_experiment"]) == ("yes", "leaky - honest")
    assert row["published_protocol_value"] == pytest.approx(0.2)
    assert row["verdict"] == "confirmed"


def test_a_number_is_never_compared_with_the_corrected_protocol_alone(results: Results, table: Table) -> None:
    protocols = ("{experiment: null, note: not run}", "{experiment: honest, note: e}")
    [row] = table(results, claim_text("accuracy", 0.9, *protocols, OFFICIAL)).to_dict("records")
    assert (row["comparable"], row["verdict"]) == ("no: not run", "not comparable here")
    assert row["corrected_protocol_value"] == 0.7


def test_a_lead_under_unequal_conditions_is_answered_by_equal_ones(results: Results, table: Table) -> None:
    protocols = ("{experiment: null, note: not run}", "{experiment: leaky, against: honest, note: e}")
    [row] = table(results, claim_text("accuracy", "true", *protocols, ANY)).to_dict("records")
    assert (row["comparable"], row["verdict"]) == ("yes", "confirmed")


def test_random_weights_are_compared_with_no_claim_of_the_projects_own_but_counts_and_training_from_scratch() -> None:
    config = read_config(CONFIG_FILE)
    for claim in read_claims():
        for name in filter(None, (claim.as_published.experiment, claim.corrected.experiment)):
            if config.experiment(name).get("weights", "none") != "none" and not claim.figure.startswith("parameters"):
                assert claim.comparable_when.weights == "pretrained", claim.id


def test_an_experiment_beside_a_claim_is_shown_and_not_compared(results: Results, table: Table) -> None:
    [row] = table(
        results,
        claim_text("accuracy", 0.9, "{experiment: leaky, note: d}", NONE, ANY, "  incomparable: it is of slices\n"),
    ).to_dict("records")
    assert (row["comparable"], row["verdict"]) == ("no: it is of slices", "not comparable here")
    assert row["published_protocol_value"] == 0.9


def test_a_claim_outlives_its_experiment_in_the_config(results: Results, table: Table) -> None:
    text = claim_text("accuracy", 0.9, "{experiment: leaky, note: d}", NONE, OFFICIAL)
    [row] = table({}, text).to_dict("records")
    assert (row["comparable"], row["verdict"]) == ("no: the configuration no longer has 'leaky'", "not comparable here")


def test_the_projects_own_claims_give_a_row_each_without_any_experiment() -> None:
    rows = claims("sample", {}, margins=MARGINS, resamples=200, source=CLAIMS).set_index("id")
    assert rows.index.tolist() == [claim.id for claim in read_claims()]
    assert rows.loc["pets-species-svm", "verdict"] == "at the majority class"
    assert rows.loc["pets-segnet-train-loss", "verdict"] == "contradicted by its own files"
    assert not rows["verdict"].isin(["confirmed", "not reproduced", "raised by leakage"]).any()
