"""Print comparisons as Markdown, a table a task: `python benchmarks/results_table.py
results/evaluation/*/comparison.csv`."""

import csv
import sys
from pathlib import Path

# Column and heading of the scores shown, those of segmentation first; a task shows the ones it has.
SCORES = {
    "dice": "Dice",
    "iou": "IoU",
    "boundary_iou": "boundary IoU",
    "iou_border_as_foreground": "IoU, border as pet",
    "dataset_iou_border_as_foreground": "the same over all pixels",
    "hd95": "HD95, pixels",
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro-F1",
    "ece": "ECE",
    "roc_auc": "ROC AUC",
}


def cell(row: dict[str, str], score: str) -> str:
    """Mean and interval of a score."""
    ends = [row[f"{score}_{part}"] for part in ("mean", "low", "high")]
    if "" in ends:
        return "none"
    mean, low, high = map(float, ends)
    digits = 3 if high <= 1 else 1
    return f"{mean:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def ranks(row: dict[str, str]) -> str:
    """The ranks that no comparison rules out; of an oracle none."""
    low, high = row.get("rank_low", ""), row.get("rank_high", "")
    if not low:
        return "none"
    return f"{float(low):.0f}" if low == high else f"{float(low):.0f}-{float(high):.0f}"


def print_task(path: Path) -> None:
    """Read, print; nothing of a task without experiments."""
    with path.open() as file:
        rows = list(csv.DictReader(file))
    if not rows:
        return
    shown = {score: heading for score, heading in SCORES.items() if f"{score}_mean" in rows[0]}
    seeds = max(int(row["seeds"]) for row in rows)
    print(f"\n## {path.parent.name}\n\n{rows[0]['images']} test images, {seeds} seed{'' if seeds == 1 else 's'}.\n")
    print(f"| rank | experiment | {' | '.join(shown.values())} | training, s a seed | weights |")
    print("|---" * (len(shown) + 4) + "|")
    for row in rows:
        scores = " | ".join(cell(row, score) for score in shown)
        seconds = f"{float(row['training_seconds']):.0f}"
        weights = " ".join(filter(None, (row["weights"], row["weights_origin"]))) or "none"
        print(f"| {ranks(row)} | {row['experiment']} | {scores} | {seconds} | {weights} |")


def main() -> None:
    """Every table asked for."""
    for name in sys.argv[1:]:
        print_task(Path(name))


if __name__ == "__main__":
    main()
