"""What a run ends with: where the page of a task is, which method won, and the command that uses it."""

import pandas as pd

from bakeoff.artefacts.layout import Project


def ending(task: str, project: Project) -> list[str]:
    """Two lines for the terminal on a task that is evaluated.

    Parameters
    ----------
    task
        Its name; `results/evaluation/TASK/comparison.csv` has its methods, best first.
    """
    page, methods = project.report / f"{task}.html", pd.read_csv(project.evaluation(task) / "comparison.csv")
    ranked = methods[methods["rank_low"].notna()]
    if ranked.empty:
        return [f"{page}: no method is ranked, since all use the true masks."]
    best = ranked.iloc[0]
    score = next(name for name in methods.columns if name.endswith("_behind_mean")).removesuffix("_behind_mean")
    value, low, high = (best[f"{score}_{part}"] for part in ("mean", "low", "high"))
    return [
        f"{page}: {best['label']} {_standing(best, len(ranked))}: {score.replace('_', ' ')} {value:.3f}, 95 % interval "
        f"{low:.3f} to {high:.3f}, on {best['images']:.0f} test images.",
        f"Use it: {use(str(best['experiment']))}",
    ]


def _standing(best: pd.Series, methods: int) -> str:
    if methods == 1:
        return "is the only method"
    if best["rank_high"] == 1:
        return f"is the best of {methods} methods"
    return f"has the best score of {methods} methods, but may rank up to {best['rank_high']:.0f}"


def use(experiment: str) -> str:
    """The command that predicts one's own images with an experiment."""
    return f"bakeoff predict {experiment} YOUR-IMAGES --out ANSWERS"
