"""Model cards: of every family, with front matter that model hubs read, and nothing left unsaid that has to be said."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import yaml
from bakeoff.artefacts.constants import constants
from bakeoff.artefacts.methods import method_facts
from bakeoff.artefacts.prepared import Fold
from bakeoff.cards.card import card, escaped
from bakeoff.cards.notes import NO_MEDICAL_DEVICE, medical_note
from bakeoff.config import read_config
from conftest import ROOT
from huggingface_hub import ModelCard

CONFIG: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text())
NOTE = NO_MEDICAL_DEVICE
READ = read_config(ROOT / "params.yaml")
EXPERIMENTS = {name: READ.experiment(name) for name in READ.experiment_names()}
FOLDS = [
    Fold(number, *(np.arange(count, dtype=np.int64) for count in counts))
    for number, counts in enumerate(((50, 8, 12),))
]
ABOUT: dict[str, Any] = {
    "name": "pets",
    "title": "Oxford-IIIT Pet",
    "classes": ["background", "pet", "border"],
    "background": 0,
    "geometry": "stretch",
    "size": [64, 64],
    "channels": 3,
    "counts": {"listed": 75, "used": 70, "dropped": 5, "by_label": {"breed": {"pug": 30, "beagle": 40}}},
    "licence": "CC BY-SA 4.0; the photographs are their owners'.",
    "citation": "O. M. Parkhi et al. Cats and Dogs. 2012.",
    "synthetic": False,
    **{"page": "https://www.robots.ox.ac.uk/~vgg/data/pets/", "hub": "timm/oxford-iiit-pet", "patients": False},
}
SCORE = {"mean": 0.91234, "low": 0.9, "high": 0.925}
MASKS: dict[str, Any] = {
    "dice": SCORE,
    "iou": SCORE,
    "hd95": {"mean": 3.5, "low": 3, "high": 4},
    "images": 12,
    "seeds": 1,
}
CLASSES: dict[str, Any] = {
    **{"accuracy": SCORE, "macro_f1": SCORE, "roc_auc": {"mean": None, "low": None, "high": None}},
    **{"temperature": 1.2, "aurc_optimal": 0.01, "images": 12, "seeds": 2, "classes": 2, "folds": 2},
}
COST: dict[str, Any] = {"parameters": 8_629_921, "latency_ms": 26.03, "device": "CPU", "note": "means over 1 training"}
COST["manifest"] = {"revision": "0123456789abcdef"}
AUDIT = {
    "checks": [
        {
            "check": "groups",
            "verdict": "fail",
            "finding": "3 groups lie on both sides.",
            "explanation": "Scores are high.",
        },
        {"check": "exact duplicates", "verdict": "pass", "finding": "None found.", "explanation": "All is well."},
    ]
}


def made(name: str, **changes: Any) -> str:
    """The card of an experiment of the configuration, on figures that are made up."""
    shown = CONFIG["derived"].get(EXPERIMENTS[name].get("images"))
    settings = {**EXPERIMENTS[name], "facts": method_facts(EXPERIMENTS[name])}
    task = CONFIG["tasks"][settings["task"]]
    given: dict[str, Any] = {
        "about": ABOUT,
        "metrics": MASKS if task["kind"] == "segmentation" else CLASSES,
        "cost": COST,
        "task": task,
        "folds": FOLDS,
        "audit": AUDIT,
        "weights": {"origin": "its authors', trained on ImageNet", "licence": "For research."},
        "shown": shown,
        **changes,
    }
    positional = (given.pop(key) for key in ("about", "metrics", "cost"))
    return card(name, settings, *positional, **given)


def front_matter(text: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(text.split("---\n")[1])
    return loaded


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_of_the_configuration_has_a_card_that_a_hub_reads(name: str) -> None:
    text = made(name)
    read = ModelCard(text)
    kind = CONFIG["tasks"][EXPERIMENTS[name]["task"]]["kind"]
    assert (
        read.data.pipeline_tag == {"segmentation": "image-segmentation", "classification": "image-classification"}[kind]
    )
    assert read.data.library_name == "bakeoff"
    assert read.data.model_name == name
    results = {each.metric_type: each.metric_value for each in read.data.eval_results}
    assert results == (
        {"dice": 0.91234, "iou": 0.91234} if kind == "segmentation" else {"accuracy": 0.91234, "f1": 0.91234}
    )
    sections = ["Data", "Protocol", "Scores", "Cost", "Weights", "Intended use", "Limits", "How to use", "How to cite"]
    assert [line[3:] for line in read.text.splitlines() if line.startswith("## ")] == sections


def test_the_hub_library_writes_the_front_matter_as_it_is() -> None:
    text = made("pets-unet")
    assert yaml.safe_load(ModelCard(text).data.to_yaml()) == front_matter(text)


def test_what_a_card_says_of_data_protocol_scores_and_cost() -> None:
    text = made("pets-unet")
    for words in (
        "A U-Net that marks pet and border in pictures of the data set Oxford-IIIT Pet.",
        "70 images of 75 that were listed.",
        "CC BY-SA 4.0; the photographs are their owners'.",
        "Images: one split 50 to train, 8 to choose weights by, 12 to test.",
        "channels 32-64-128-256-512, norm none",
        "| Dice | 0.912 | 0.900 to 0.925 |",
        "| 95 % Hausdorff distance (pixels) | 3.500 | 3.000 to 4.000 |",
        "On 12 test images (the test split), means over 1 seed;",
        "| parameters | 8,629,921 |",
        "| peak memory (MiB) | — |",
        "Trained from random weights on the training images",
        "It was trained once",
        "    bakeoff predict pets-unet picture.jpg --out answers --runtime onnx",
        "- O. M. Parkhi et al. Cats and Dogs. 2012.",
        "O. Ronneberger, P. Fischer, T. Brox.",
        "- Bakeoff, revision 0123456789abcdef, experiment pets-unet.",
        "counts the answers that change",
    ):
        assert words in text, words
    assert front_matter(text)["datasets"] == ["timm/oxford-iiit-pet"]
    assert "SYNTHETIC" not in text
    assert "RANDOM" not in text


def test_synthetic_data_random_weights_and_medical_data_are_said_first() -> None:
    text = made("pets-reference", about={**ABOUT, "synthetic": True}, cost={**COST, "weights": "random"}, note=NOTE)
    data = text.index("## Data")
    assert max(text.index(words) for words in (f"> **{NOTE}**", "> **SYNTHETIC DATA", "> **RANDOM WEIGHTS")) < data
    assert "stand-in for resnet50; nothing pretrained is in it" in text
    metadata = front_matter(text)
    assert "datasets" not in metadata
    assert "synthetic-data" in metadata["tags"]
    assert metadata["model-index"][0]["results"][0]["dataset"]["name"] == "Oxford-IIIT Pet (synthetic stand-in)"


def test_pretrained_weights_bring_their_origin_and_terms() -> None:
    text = made("breeds-convnext", cost={**COST, "weights": "official"})
    assert "convnext_tiny_in22k, its authors', trained on ImageNet. For research." in text
    assert "A ConvNet for the 2020s" in text
    assert "adapted" not in text
    assert "a mirror's own file" in made("breeds-convnext", cost={**COST, "weights": "mirror"})


def test_a_first_convolution_that_was_adapted_is_said() -> None:
    cost = {**COST, "weights": "official"}
    for channels, how in ((1, "summed"), (4, "repeated and scaled by 3/4")):
        said = f"adapted from 3 channels to {channels}: its weights were {how}."
        assert said in made("breeds-convnext", about={**ABOUT, "channels": channels}, cost=cost)


def test_an_oracle_is_no_method_to_use() -> None:
    text = made("breeds-true-crop")
    assert "> **An ORACLE" in text
    assert "bakeoff predict breeds-true-crop picture.jpg --out answers --masks masks" in text


def test_limits_are_what_the_audit_found() -> None:
    text = made("pets-unet")
    assert "Audit (fail, groups): 3 groups lie on both sides. Scores are high." in text
    assert "None found." not in text


def test_a_threshold_marks_one_class_of_several() -> None:
    text = made("pets-otsu")
    assert "Otsu's threshold that marks pet in pictures" in text
    assert "parity.json" not in text


def test_a_card_names_the_classes_that_count_and_what_scores_are_means_of() -> None:
    street = {**ABOUT, "classes": ["sky", "road", "car"], "background": None}
    text = made("pets-unet", about=street, task={**CONFIG["tasks"]["pets-masks"], "score": None})
    assert "that marks sky, road and car in pictures" in text
    assert "| Dice, mean over the classes scored | 0.912 |" in text
    assert "Images are stretched to 64 x 64 pixels." in text
    text = made("pets-otsu", about={**ABOUT, "classes": ["background", "border", "pet"]})
    assert "Otsu's threshold that marks pet in pictures" in text, "the class that the task scores"
    assert "| Dice | 0.912 |" in text


def test_a_network_on_anothers_encoder_cites_both() -> None:
    text = made("pets-resnet50-unet")
    assert "O. Ronneberger" in text
    assert "K. He, X. Zhang, S. Ren, J. Sun." in text
    assert "P. Iakubovskii" in made("pets-reference")


def test_a_recipe_is_part_of_the_protocol() -> None:
    text = made("pets-unet", recipe={"epochs": 6, "augmentation": {"rotate": 15}})
    assert "Training, recipe photographs: epochs 6, augmentation (rotate 15)." in text


def test_folds_and_a_score_that_is_not_known() -> None:
    folds = [Fold(0, np.arange(4), np.arange(2), np.arange(6)), Fold(1, np.arange(6), np.arange(2), np.arange(4))]
    text = made("breeds-resnet34", folds=folds)
    assert "Images: 2 folds, in each of them on average 5 to train, 2 to choose weights by, 5 to test." in text
    assert "| area under the ROC curve | — | — to — |" in text
    assert "Classes: beagle, pug" in text


def test_what_a_folder_of_ones_own_is_called_is_no_markup() -> None:
    text = made("pets-unet", about={**ABOUT, "title": "a|b\n## <b>c", "citation": "[x](y)"})
    assert "a\\|b ## &lt;b>c" in text
    assert "\n## &lt;b" not in text
    assert "\\[x\\](y)" in text
    assert front_matter(text)["model-index"][0]["results"][0]["dataset"]["name"] == "a|b\n## <b>c"


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_method_of_the_configuration_has_a_title_and_what_others_wrote_a_citation(name: str) -> None:
    method, text = EXPERIMENTS[name].get("method") or EXPERIMENTS[name]["model"], made(name)
    assert not text.split(f"# {name}\n\n")[1].lower().startswith(f"{method} that"), "the title is not the name"
    citations = text.split("## How to cite\n\n")[1].splitlines()
    assert len(citations) == (2 if method == "mean" else 3) or len(citations) > 3


@pytest.mark.parametrize("name", [name for name in CONFIG["weights"] if name != "none"])
def test_every_weights_of_the_configuration_have_an_origin_and_a_licence(name: str) -> None:
    user = next(each for each, settings in EXPERIMENTS.items() if settings.get("weights") == name)
    stated = constants(ROOT / "workflow" / "bakeoff" / "weights" / "networks" / f"{name}.py")
    weights = {"origin": stated["ORIGIN"], "licence": stated["LICENCE"]}
    text = made(user, cost={**COST, "weights": "official"}, weights=weights)
    assert f"The encoder started from {name}, " in text
    assert "trained on ImageNet" in text
    assert "non-commercial research and education" in text


def test_pictures_of_patients_are_marked_in_the_package_of_their_data_set() -> None:
    sources = ROOT / "workflow" / "bakeoff" / "datasets" / "sources"
    marked = {
        source: constants(sources / source / "__init__.py").get("PATIENTS", False)
        for source in ("lungs", "ultrasound", "pets", "catsdogs")
    }
    assert marked == {"lungs": True, "ultrasound": True, "pets": False, "catsdogs": False}
    assert medical_note({"patients": True}) == NO_MEDICAL_DEVICE
    assert medical_note({"patients": False}) == ""


def test_a_card_imports_neither_torch_nor_a_model() -> None:
    asked = """
import sys
import bakeoff.cards.card
from bakeoff.artefacts.methods import method_facts
for name in ("unet", "timm_classifier"):
    print(method_facts({"model": name, "settings": {}})["title"])
print([name for name in sys.modules if name in ("torch", "timm", "huggingface_hub", "sklearn", "skimage")])
"""
    answer = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert answer.stdout.splitlines() == ["a U-Net", "a ResNet34", "[]"]


def test_markup_is_escaped() -> None:
    assert escaped("1 < 2 *and* `so` \\ on") == "1 &lt; 2 \\*and\\* \\`so\\` \\\\ on"
