"""What is picked to be looked at: labels that may be wrong, masks that differ, and pictures that lie on each other."""

import base64
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from bakeoff.artefacts.layout import Project
from bakeoff.report.gallery import cases, differing_shares, disagreements, doubtful_masks
from bakeoff.report.label_errors import confident_class, suspects
from bakeoff.report.pictures import (
    PREDICTION_COLOUR,
    TRUTH_COLOUR,
    lossless_uri,
    mask_picture,
    outlined,
    outlines,
    picture,
    png_uri,
)
from bakeoff.report.reading import Task, read_task
from bakeoff.report.slim import slim
from bakeoff.report.write import write_task_page
from ellipses import MARGIN, TASKS, build


class TestLabelErrors:
    """Confident learning, by hand."""

    TRUTH = np.array([0, 0, 0, 1, 1, 1])
    # Of class 0: its labels have 0.9, 0.8 and 0.1, so the bar is 0.6; of class 1 0.9, 0.7 and 0.5, so 0.7.
    OF_FIRST = np.array([0.9, 0.8, 0.1, 0.1, 0.3, 0.5])

    def test_a_class_is_sure_from_the_mean_of_its_labels_on(self) -> None:
        probabilities = np.column_stack([self.OF_FIRST, 1 - self.OF_FIRST])
        assert confident_class(self.TRUTH, probabilities).tolist() == [0, 0, 1, 1, 1, -1]

    def test_of_several_sure_classes_the_most_probable_counts(self) -> None:
        probabilities = np.array([[0.3, 0.3, 0.4], [0.45, 0.4, 0.15], [0.3, 0.5, 0.2]])
        # The bars are 0.3, 0.4 and 0.2.
        assert confident_class(np.array([0, 1, 2]), probabilities).tolist() == [2, 0, 1]

    def test_nobody_is_sure_of_a_class_without_labels(self) -> None:
        assert confident_class(np.array([0, 0]), np.array([[0.1, 0.9], [0.1, 0.9]])).tolist() == [0, 0]

    def test_a_suspect_has_the_votes_of_nearly_all(self) -> None:
        one = np.column_stack([self.OF_FIRST, 1 - self.OF_FIRST])
        found = suspects(self.TRUTH, np.stack([one, one]))
        assert found.to_dict("records") == [
            {"image": 2, "suggested": 1, "votes": 2, "sure": pytest.approx(0.9), "given": pytest.approx(0.1)}
        ]
        assert suspects(self.TRUTH, one[None]).empty, "one method is no agreement"
        right = np.eye(2)[self.TRUTH]
        assert suspects(self.TRUTH, np.stack([one, one, one, right])).empty, "three of four are not four fifths"
        assert suspects(self.TRUTH, np.stack([one] * 4 + [right]))["votes"].tolist() == [4]

    def test_the_likeliest_comes_first(self) -> None:
        truth = np.array([0, 0, 0, 0, 1, 1])
        of_first = np.array([0.9, 0.9, 0.2, 0.1, 0.3, 0.3])
        method = np.column_stack([of_first, 1 - of_first])
        assert suspects(truth, np.stack([method, method]))["image"].tolist() == [3, 2]

    def test_it_finds_labels_that_were_swapped(self) -> None:
        rng = np.random.default_rng(0)
        clean = rng.integers(0, 3, 300)
        swapped = rng.choice(300, 12, replace=False)
        truth = clean.copy()
        truth[swapped] = (clean[swapped] + 1) % 3
        methods = []
        for _ in range(3):
            logits = 4 * np.eye(3)[clean] + rng.normal(0, 1, (300, 3))
            methods.append(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True))
        found = suspects(truth, np.stack(methods))
        assert set(found["image"]) <= set(swapped.tolist())
        assert len(found) >= 6
        assert found["suggested"].tolist() == clean[found["image"]].tolist()


def test_masks_differ_where_classes_do() -> None:
    first = np.zeros((2, 2, 2), np.uint8)
    second = np.array([[[0, 0], [0, 0]], [[1, 2], [0, 0]]], np.uint8)
    assert differing_shares(first, second).tolist() == [0.0, 0.5]


class TestOutlines:
    """Outlines alone are those of the outlined picture."""

    SQUARE = np.pad(np.ones((4, 4), np.uint8), 2)

    def test_laid_over_the_image_they_give_the_outlined_picture(self) -> None:
        image = np.random.default_rng(0).integers(0, 255, (8, 8, 3), dtype=np.uint8)
        drawn = outlines(self.SQUARE, np.roll(self.SQUARE, 1, axis=0), 32)
        seen = drawn[..., 3] > 0
        expected = np.where(seen[..., None], drawn[..., :3], picture(image, 32))
        assert np.array_equal(outlined(image, self.SQUARE, np.roll(self.SQUARE, 1, axis=0), 32), expected)
        assert set(map(tuple, drawn[seen][:, :3].tolist())) == {
            tuple(bytes.fromhex(colour.removeprefix("#"))) for colour in (TRUTH_COLOUR, PREDICTION_COLOUR)
        }
        assert not drawn[~seen].any()

    def test_they_survive_as_webp(self) -> None:
        drawn = outlines(self.SQUARE, None, 32)
        data = base64.b64decode(lossless_uri(drawn).split(",", 1)[1])
        found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        assert found is not None
        assert np.array_equal(found[..., [2, 1, 0, 3]], drawn)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which segmentation methods competed, as far as the page of their task needs it."""
    root = tmp_path_factory.mktemp("gallery")
    build(root)
    return root


@pytest.fixture(scope="module")
def task(project: Path) -> Task:
    return read_task("lungs", TASKS["lungs"], Project(project), margin=MARGIN)


def test_disagreements_are_those_of_the_two_best(task: Task) -> None:
    found: Any = disagreements(task, 64)
    best = [each for each in task.experiments if not each.oracle][:2]
    assert found["methods"] == [each.label for each in best]
    shares = differing_shares(*(each.masks.masks[0] for each in best))
    assert [case["id"] for case in found["cases"]] == [best[0].masks.ids[at] for at in np.argsort(-shares)[:3]]
    place = int(shares.argmax())
    first = found["cases"][0]
    assert first["title"] == f"{100 * shares[place]:.0f} % of the pixels differ"
    assert [mask["uri"] for mask in first["masks"]] == [
        png_uri(mask_picture(each.masks.masks[0][place])) for each in best
    ]
    assert all(mask["alt"] for mask in first["masks"])


def test_truth_that_two_networks_contradict_together_is_doubtful(task: Task) -> None:
    networks = [each for each in task.experiments if each.history][:2]
    ids = networks[0].masks.ids
    # Both draw the true masks, and of one image the same other one.
    drawn = np.stack([task.prepared.true_masks()[task.test_positions[id_]] for id_ in ids])
    drawn[3] = np.roll(drawn[3], drawn.shape[2] // 3, axis=1)
    agreeing = [
        replace(
            each,
            scores=each.scores.assign(dice=np.where(each.scores["id"] == ids[3], 0.4, 1.0)),
        )
        for each in networks
    ]
    for each in agreeing:
        each.__dict__["masks"] = replace(each.masks, masks=dict.fromkeys(each.masks.masks, drawn))
    (found,) = doubtful_masks(replace(task, experiments=agreeing), 64)
    assert (found["id"], found["title"]) == (ids[3], "Dice of the two networks 1.000")
    assert [each.rsplit(" ", 1)[1] for each in found["scores"]] == ["0.400", "0.400"]
    assert doubtful_masks(replace(task, experiments=agreeing[:1]), 64) == []


def test_every_method_has_its_best_median_and_worst(task: Task) -> None:
    found = cases(task, 64)
    assert [each["experiment"] for each in found] == [each.name for each in task.experiments]
    assert all([case["title"].split(":")[0] for case in each["cases"]] == ["Best", "Median", "Worst"] for each in found)


class TestSlimFigures:
    """A page needs less of a figure than an editor does."""

    def test_what_is_seen_stays(self) -> None:
        svg = (
            '<g id="axes_1">\n <!-- Otsu -->\n <defs><path id="m1" d="M 0 0 \nL 0 3.123456 \n" style="stroke: red"/>'
            '</defs>\n <path d="M 0 0 \nL 9 9 \n" style="fill: none"/>\n <g clip-path="url(#p1)"><use xlink:href="#m1" '
            'x="-0.001"/></g>\n <text transform="rotate(-0 1 2)">1.2345  is said</text>\n</g>'
        )
        assert slim(svg) == (
            '<defs><path id="m1" d="M0 0L0 3.12" style="stroke: red"/></defs>'
            '<g clip-path="url(#p1)"><use xlink:href="#m1" x="0"/></g><text>1.2345  is said</text>'
        )


@pytest.mark.browser
class TestInABrowser:
    """The controls of the pictures, in headless Chromium."""

    @pytest.fixture(scope="class")
    def page(self, project: Path, chromium: Any) -> Iterator[Any]:
        write_task_page("lungs", TASKS["lungs"], "sample", Project(project), margin=MARGIN)
        page = chromium.new_page(viewport={"width": 1280, "height": 900})
        page.goto((Project(project).report / "lungs.html").as_uri())
        yield page
        page.close()

    def test_the_keyboard_wipes_from_one_mask_to_the_other(self, page: Any) -> None:
        masks = page.locator(".masks").first
        upper = masks.locator(".mask + .mask img")
        masks.locator("input").focus()
        for key, cut, said in (("Home", "0%", "0 % "), ("End", "100%", "100 % "), ("ArrowLeft", "95%", "95 % ")):
            page.keyboard.press(key)
            clip = upper.evaluate("image => getComputedStyle(image).clipPath")
            assert clip in (f"inset(0px 0px 0px {cut})", f"inset(0 0 0 {cut})")
            assert masks.locator("input").get_attribute("aria-valuetext").startswith(said)
        corners = "images => images.map(image => [image.getBoundingClientRect().x, image.getBoundingClientRect().y])"
        first, second = masks.locator("img").evaluate_all(corners)
        assert first == second

    def test_outlines_can_be_hidden(self, page: Any) -> None:
        box, drawn = page.locator(".show-outlines").first, page.locator(".layers .outlines").first
        assert drawn.is_visible()
        box.uncheck()
        assert not drawn.is_visible()

    def test_on_paper_both_masks_and_the_outlines_are_seen(self, page: Any) -> None:
        page.emulate_media(media="print")
        masks = page.locator(".masks").first
        left, right = (image.bounding_box() for image in masks.locator("img").all())
        assert left["x"] + left["width"] <= right["x"]
        assert masks.locator(".mask + .mask img").evaluate("image => getComputedStyle(image).clipPath") == "none"
        assert not masks.locator("input").is_visible()
        assert page.locator(".layers .outlines").first.is_visible()
        page.emulate_media(media="screen")
