"""Print a comparison as Markdown: `python benchmarks/results_table.py results/comparison/lungs.csv`."""

import csv
import sys
from pathlib import Path

SCORES = ("dice", "iou", "hd95", "assd")


def cell(row: dict[str, str], score: str) -> str:
    """Mean and interval of a score."""
    mean, low, high = (float(row[f"{score}_{part}"]) for part in ("mean", "low", "high"))
    digits = 3 if high <= 1 else 1
    return f"{mean:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def main() -> None:
    """Read, print."""
    with Path(sys.argv[1]).open() as file:
        rows = list(csv.DictReader(file))
    print("| experiment | Dice | IoU | HD95, pixels | ASSD, pixels | training, s a seed | images | seeds |")
    print("|---|---|---|---|---|---|---|---|")
    for row in rows:
        scores = " | ".join(cell(row, score) for score in SCORES)
        seconds = f"{float(row['training_seconds']):.0f}"
        print(f"| {row['experiment']} | {scores} | {seconds} | {row['images']} | {row['seeds']} |")


if __name__ == "__main__":
    main()
