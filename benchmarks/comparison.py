"""What the statistics of a comparison cost and whether they hold: `python benchmarks/comparison.py`.

Three parts, `--only` for one of them:

- cost: time and peak memory of all statistics of one task, those of every method and those of the comparison, for 10
  methods, 3,669 images, 5 seeds and 37 classes or 3 kinds of pixels, and for 20 methods, each in a process of its own;
  temperatures are fitted, but no image is scored;
- coverage: how many 95 % intervals hold the truth, over `--repeats` simulated test sets a design;
- verdicts: how often methods that are equal get a "better" or "worse", Holm over the family.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import combinations

import numpy as np
import pandas as pd
import psutil
from bakeoff.evaluation import classification
from bakeoff.evaluation.bootstrap import BOUNDS, Interval, mean_interval
from bakeoff.evaluation.calibration import fit_temperature, scale
from bakeoff.evaluation.classification import accuracy_interval
from bakeoff.evaluation.comparison import KINDS, Kind, compare_scores, with_areas
from bakeoff.evaluation.paired import compare_paired, holm, verdict
from bakeoff.evaluation.scores import dataset_headline, headline
from scipy import special, stats
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

METHODS, IMAGES, SEEDS, CLASSES = 10, 3669, 5, 37
PIXEL_CLASSES = ("background", "foreground", "border")
MARGIN = 0.01

# One simulated test set: scores, (images,) or (images, seeds), and the images' groups.
Drawn = tuple[np.ndarray, np.ndarray]
Design = Callable[[np.random.Generator], Drawn]
# How an interval is made of what a design draws, and how many bootstrap resamples it may take.
Maker = Callable[[np.random.Generator, int], Interval]


def beta(images: int, a: float = 18, b: float = 1.2) -> Design:
    """Dice of a good network: skewed, most images near 1."""
    return lambda rng: (rng.beta(a, b, images), np.arange(images))


def with_failures(images: int, share: float) -> Design:
    """Dice of a network that fails on a share of the images."""

    def draw(rng: np.random.Generator) -> Drawn:
        fails = rng.random(images) < share
        return np.where(fails, rng.beta(2, 2, images), rng.beta(30, 2, images)), np.arange(images)

    return draw


def clustered(groups: int, quantile: Callable[[np.ndarray], np.ndarray]) -> Design:
    """Patients with 1 to 8 images each, half of whose variance is the patient's (on a normal scale)."""

    def draw(rng: np.random.Generator) -> Drawn:
        member = np.repeat(np.arange(groups), rng.integers(1, 9, groups))
        normal = (rng.normal(size=groups)[member] + rng.normal(size=len(member))) / 2**0.5
        return quantile(stats.norm.cdf(normal)), member

    return draw


def right(images: int, accuracy: float) -> Design:
    """Images that are right or wrong."""
    return lambda rng: ((rng.random(images) < accuracy).astype(float), np.arange(images))


def seeded(images: int, seeds: int, between: float) -> Design:
    """Scores of mean 0.8 by image and seed; `between` is the standard deviation of the seeds."""

    def draw(rng: np.random.Generator) -> Drawn:
        of_images, of_seeds = rng.normal(0, 0.05, (images, 1)), rng.normal(0, between, (1, seeds))
        return 0.8 + of_images + of_seeds + rng.normal(0, 0.025, (images, seeds)), np.arange(images)

    return draw


def right_seeded(images: int, seeds: int, accuracy: float, between: float) -> Design:
    """The same of images that are right or wrong, on a normal scale."""
    cut = stats.norm.ppf(accuracy) * (1.5 + between**2) ** 0.5

    def draw(rng: np.random.Generator) -> Drawn:
        ease = rng.normal(size=(images, 1)) + rng.normal(0, between, (1, seeds))
        return (ease + rng.normal(0, 0.5**0.5, (images, seeds)) < cut).astype(float), np.arange(images)

    return draw


def mean_of(design: Design) -> Maker:
    """The interval of a mean over images."""

    def make(rng: np.random.Generator, resamples: int) -> Interval:
        scores, groups = design(rng)
        return mean_interval(scores, groups=groups, resamples=resamples)

    return make


def accuracy_of(design: Design) -> Maker:
    """The interval of an accuracy."""

    def make(rng: np.random.Generator, resamples: int) -> Interval:
        return accuracy_interval(*design(rng))

    return make


def difference_of(design: Design, lead: float, *, binary: bool = False) -> Maker:
    """The interval of the paired difference of two methods: one draw and another that shares its images' difficulty."""

    def make(rng: np.random.Generator, resamples: int) -> Interval:
        scores, groups = design(rng)
        if binary:  # two methods that err on images of their own
            other, _ = design(rng)
            found = compare_paired(scores, other, groups=groups, binary=True, resamples=resamples)
            return Interval(found.difference, found.low, found.high)
        apart = rng.laplace(lead, 0.03, len(scores))
        by_image = apart if scores.ndim == 1 else apart[:, None] + rng.normal(0, 0.01, (1, scores.shape[1]))
        found = compare_paired(scores + by_image, scores, groups=groups, binary=False, resamples=resamples)
        return Interval(found.difference, found.low, found.high)

    return make


def classified(name: str, images: int, seeds: int, *, between: float = 0.0, gain: float = 1.5) -> Maker:
    """The interval of a figure of all images together: three classes, one of them rare, told apart by noisy scores."""

    def make(rng: np.random.Generator, resamples: int) -> Interval:
        truth = rng.choice(3, images, p=(0.5, 0.4, 0.1))
        return _headline(name, truth, _probabilities(rng, truth, 3, seeds, gain, between), resamples)

    return make


def _headline(name: str, truth: np.ndarray, probabilities: np.ndarray, resamples: int) -> Interval:
    found = classification.headline(truth, probabilities, np.arange(len(truth)), resamples=resamples)[name]
    return Interval(found["mean"], found["low"], found["high"])


def _probabilities(
    rng: np.random.Generator, truth: np.ndarray, classes: int, seeds: int, gain: float, between: float = 0.0
) -> np.ndarray:
    """(seeds, images, classes); `between` is the standard deviation of the seeds' gain."""
    images = len(truth)
    gains = gain + rng.normal(0, between, (seeds, 1, 1))
    noise = rng.normal(0, 0.7, (1, images, classes)) + rng.normal(0, 0.7, (seeds, images, classes))
    return np.asarray(special.softmax(gains * np.eye(classes)[truth] + noise, axis=2))


def true_figure(name: str, *, between: float = 0.0, gain: float = 1.5) -> float:
    """The truth of `classified`, from 100,000 images of each of 20 seeds."""
    rng = np.random.default_rng(1)
    figures = []
    for _ in range(20):
        truth = rng.choice(3, 100_000, p=(0.5, 0.4, 0.1))
        probabilities = _probabilities(rng, truth, 3, 1, gain, between)[0]
        if name == "roc_auc":
            figures.append(roc_auc_score(truth, probabilities, multi_class="ovr"))
        else:
            figures.append(balanced_accuracy_score(truth, probabilities.argmax(axis=1)))
    return float(np.mean(figures))


def designs() -> Iterator[tuple[str, Maker, float]]:
    """What is simulated, and its truth."""
    for images in (40, 100, 640, 3669):
        yield f"Dice, skewed, {images} images", mean_of(beta(images)), 18 / 19.2
    for images, share in ((100, 0.1), (640, 0.05), (3669, 0.05)):
        truth = (1 - share) * 30 / 32 + share / 2
        yield f"Dice, {share:.0%} failures, {images} images", mean_of(with_failures(images, share)), truth
    for groups in (40, 200):
        skewed = clustered(groups, lambda share: stats.beta.ppf(share, 8, 2))
        yield f"Dice, {groups} patients of 1 to 8 images", mean_of(skewed), 0.8
    for images, seeds, between in ((100, 3, 0.005), (640, 3, 0.002), (640, 5, 0.005), (3669, 5, 0.01)):
        yield f"Dice, {images} images, {seeds} seeds, sd {between}", mean_of(seeded(images, seeds, between)), 0.8
    for images, accuracy in ((40, 0.5), (40, 0.9), (200, 0.9), (200, 0.98), (3669, 0.98), (3669, 0.999)):
        yield f"accuracy {accuracy}, {images} images", accuracy_of(right(images, accuracy)), accuracy
    for groups, accuracy in ((40, 0.7), (100, 0.9), (200, 0.98)):
        cut = clustered(groups, lambda share, accuracy=accuracy: (share < accuracy).astype(float))
        yield f"accuracy {accuracy}, {groups} patients of 1 to 8", accuracy_of(cut), accuracy
    for accuracy, between in ((0.8, 0.1), (0.98, 0.1)):
        design = right_seeded(640, 5, accuracy, between)
        yield f"accuracy {accuracy}, 640 images, 5 seeds that differ", accuracy_of(design), accuracy
    for images in (40, 640):
        yield f"Dice difference, {images} images", difference_of(beta(images), 0.01), 0.01
    yield "Dice difference, 640 images, 5 seeds", difference_of(seeded(640, 5, 0.0), 0.01), 0.01
    yield "accuracy difference, 200 images", difference_of(right(200, 0.9), 0.0, binary=True), 0.0
    for name in ("balanced_accuracy", "roc_auc"):
        for images, seeds, between in ((100, 1, 0.0), (640, 1, 0.0), (640, 5, 0.0), (640, 5, 0.2)):
            how = f"{name.replace('_', ' ')}, {images} images, {seeds} seeds, sd {between}"
            truth = true_figure(name, between=between)
            yield how, classified(name, images, seeds, between=between), truth
    # What no method mends: that few images hold no bad one, half of the time.
    yield "beyond reach: Dice, 5% failures, 40 images", mean_of(with_failures(40, 0.05)), 0.95 * 30 / 32 + 0.05 / 2
    yield "beyond reach: accuracy 0.995, 200 images", accuracy_of(right(200, 0.995)), 0.995
    yield "beyond reach: Dice, 3669 images, 2 seeds, sd 0.01", mean_of(seeded(3669, 2, 0.01)), 0.8


def coverage(repeats: int, resamples: int) -> None:
    """Print how many intervals of each design hold the truth, and how many lie wholly above or below it."""
    print(f"\n95 % intervals that hold the truth, {repeats:,} repeats, {resamples:,} resamples")
    print(f"{'design':54}{'cover':>8}{'above':>8}{'below':>8}{'width':>9}")
    for name, make, truth in designs():
        rng = np.random.default_rng(0)
        _, low, high = np.array([make(rng, resamples) for _ in range(repeats)]).T
        above, below = np.mean(low > truth), np.mean(high < truth)
        print(f"{name:54}{1 - above - below:8.1%}{above:8.1%}{below:8.1%}{np.mean(high - low):9.4f}", flush=True)


def equal_methods(rng: np.random.Generator, methods: int, images: int, seeds: int, between: float) -> list[np.ndarray]:
    """Scores of methods that share the images' difficulty and are, over images and seeds, equal; (images, seeds)."""
    ease = rng.beta(18, 1.2, (images, 1))
    noise = (rng.normal(0, between, (1, seeds)) + rng.laplace(0, 0.03, (images, seeds)) for _ in range(methods))
    return [ease + each for each in noise]


def equal_classifiers(
    rng: np.random.Generator, methods: int, images: int, seeds: int, between: float
) -> list[np.ndarray]:
    """The same of classifiers with an accuracy of about 0.9."""
    ease = rng.normal(size=(images, 1))
    own = (rng.normal(0, between, (1, seeds)) + rng.normal(0, 0.5, (images, seeds)) for _ in range(methods))
    return [(ease + each < 1.43).astype(float) for each in own]


def verdicts(repeats: int, resamples: int) -> None:
    """Print how often a family of equal methods has any verdict of better or worse."""
    print(f"\nfalse 'better' among equal methods, Holm over the family, {repeats:,} repeats")
    print(f"{'family':54}{'any':>8}{'a pair':>8}{'equivalent':>12}")
    families = [
        ("Dice, 5 methods, 100 images, 1 seed", equal_methods, (5, 100, 1, 0.0), False, 1),
        ("Dice, 10 methods, 640 images, 5 seeds", equal_methods, (10, 640, 5, 0.0), False, 1),
        ("Dice, 5 methods, 640 images, 5 seeds, sd 0.005", equal_methods, (5, 640, 5, 0.005), False, 1),
        ("Dice, 5 methods, 640 images, 3 seeds, sd 0.005", equal_methods, (5, 640, 3, 0.005), False, 1),
        ("Dice, 5 methods, 100 patients of 4 images", equal_methods, (5, 100, 1, 0.0), False, 4),
        ("accuracy, 5 methods, 200 images, 1 seed", equal_classifiers, (5, 200, 1, 0.0), True, 1),
        ("accuracy, 5 methods, 640 images, 5 seeds, differing", equal_classifiers, (5, 640, 5, 0.1), True, 1),
        ("accuracy, 5 methods, 100 patients of 4 images", equal_classifiers, (5, 100, 1, 0.0), True, 4),
        ("beyond reach: Dice, 5 methods, 2 seeds, sd 0.005", equal_methods, (5, 640, 2, 0.005), False, 1),
    ]
    for name, draw, size, is_accuracy, copies in families:
        rng = np.random.default_rng(0)
        any_false = pairs = false = equivalent = 0
        for _ in range(repeats):
            scores = [np.repeat(each, copies, axis=0) for each in draw(rng, *size)]
            groups = np.arange(len(scores[0])) // copies
            compared = [
                compare_paired(*two, groups=groups, binary=is_accuracy, resamples=resamples)
                for two in combinations(scores, 2)
            ]
            corrected = holm(np.array([each.p_value for each in compared]))
            told = [verdict(each, margin=MARGIN, p_holm=p).verdict for each, p in zip(compared, corrected, strict=True)]
            # A margin can turn a false "better" into "equivalent": counted without it, which is the harder test.
            wrong = [p < 0.05 and each.low * each.high > 0 for each, p in zip(compared, corrected, strict=True)]
            any_false, false = any_false + any(wrong), false + sum(wrong)
            pairs, equivalent = pairs + len(told), equivalent + told.count("equivalent")
        print(f"{name:54}{any_false / repeats:8.1%}{false / pairs:8.2%}{equivalent / pairs:12.0%}", flush=True)


def synthetic_task(kind: Kind, methods: int) -> dict[str, pd.DataFrame]:
    """`scores.csv` of every method, with every column that the comparison reads."""
    rng = np.random.default_rng(0)
    ease = rng.beta(18, 1.2, IMAGES)
    place = pd.DataFrame({"id": np.tile(np.arange(IMAGES), SEEDS), "seed": np.repeat(np.arange(SEEDS), IMAGES)})
    place["stratum"], place["label"] = place["id"] % 2, place["id"] % CLASSES
    tables = {}
    for method in range(methods):
        scores = np.clip(np.tile(ease, SEEDS) - 0.005 * method + rng.normal(0, 0.03, len(place)), 0, 1)
        correct = (scores > 0.9).astype(int)
        by_image = [score for score in (*kind.others, kind.column) if score in BOUNDS]  # others are of all images
        of_all = dict.fromkeys(by_image, correct if kind.binary else scores)
        tables[f"method{method}"] = place.assign(**of_all)
    return tables


def cost(kind_name: str, methods: int, resamples: int) -> None:
    """Print seconds and peak memory of all statistics of one task in this process."""
    kind = KINDS[kind_name]
    scores = synthetic_task(kind, methods)
    names = {name: {"family": "networks", "model": name} for name in scores}
    nothing: dict[str, dict[str, object]] = {name: {} for name in scores}
    groups = pd.Series(np.arange(IMAGES) // 2 if kind.binary else np.arange(IMAGES))
    rng, truth = np.random.default_rng(0), np.arange(IMAGES) % CLASSES
    probabilities, confusion = {}, np.empty(0)
    if kind.binary:
        probabilities = {name: _probabilities(rng, truth, CLASSES, SEEDS, 3.0).astype(np.float32) for name in scores}
    else:
        confusion = rng.integers(0, 1000, (SEEDS, IMAGES, len(PIXEL_CLASSES), len(PIXEL_CLASSES)))
    before, started = time.process_time(), time.perf_counter()
    for name in scores:
        if kind.binary:
            score_classes(truth, probabilities[name], groups.to_numpy(), resamples)
        else:
            headline(scores[name], groups, resamples=resamples)
            dataset_headline(confusion, PIXEL_CLASSES, groups.to_numpy(), resamples=resamples)
    scored = time.perf_counter() - started
    _, pairs = compare_scores(
        kind, names, scores, nothing, nothing, ["stratum"], groups, resamples=resamples, margin=MARGIN
    )
    if kind.binary:
        pairs = with_areas(pairs, truth, probabilities, groups.to_numpy())
    seconds, processor = time.perf_counter() - started, time.process_time() - before
    memory = psutil.Process().memory_info()
    peak = getattr(memory, "peak_wset", 0) or _peak_resident()
    print(
        f"{kind_name:16}{methods:4} methods, {len(pairs):4} pairs: {seconds:6.1f} s, {scored:.1f} s of them to score "
        f"({processor:.1f} s of processor), peak {peak / 2**20:,.0f} MiB",
        flush=True,
    )


def score_classes(truth: np.ndarray, probabilities: np.ndarray, groups: np.ndarray, resamples: int) -> None:
    """What the evaluation does for one classifier, with a fifth of the images to fit its temperatures on."""
    some = slice(len(truth) // 5)
    scaled = np.stack([scale(each, fit_temperature(truth[some], each[some])) for each in probabilities])
    classification.headline(truth, probabilities, groups, scaled=scaled, resamples=resamples)


def _peak_resident() -> int:
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else 1024 * peak)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=("cost", "coverage", "verdicts"), help="one part alone")
    parser.add_argument("--repeats", type=int, default=1000, help="simulated test sets a design")
    parser.add_argument("--resamples", type=int, default=1000, help="of each bootstrap in the simulations")
    parser.add_argument("--one-cost", nargs=2, metavar=("KIND", "METHODS"), help=argparse.SUPPRESS)
    options = parser.parse_args()

    if options.one_cost:
        cost(options.one_cost[0], int(options.one_cost[1]), 2000)
        return
    if options.only in (None, "cost"):
        print(f"one task, {IMAGES:,} images x {SEEDS} seeds, {CLASSES} classes, 2,000 resamples")
        for kind in KINDS:
            for methods in (METHODS, 2 * METHODS):
                subprocess.run([sys.executable, __file__, "--one-cost", kind, str(methods)], check=True)
    if options.only in (None, "coverage"):
        coverage(options.repeats, options.resamples)
    if options.only in (None, "verdicts"):
        verdicts(options.repeats, options.resamples)


if __name__ == "__main__":
    main()
