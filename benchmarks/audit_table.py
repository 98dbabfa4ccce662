"""Print the audits of prepared data sets as Markdown: `python benchmarks/audit_table.py data/prepared/*`."""

import csv
import json
import sys
from collections import Counter
from pathlib import Path

EXAMPLES = 3


def main() -> None:
    """Read, print."""
    for folder in map(Path, sys.argv[1:]):
        if not (folder / "audit.csv").is_file():
            continue  # derived from another data set, whose audit is its own
        about = json.loads((folder / "dataset.json").read_text())
        counts = about["counts"]
        with (folder / "audit.csv").open() as file:
            rows = list(csv.DictReader(file))
        with (folder / "index.csv").open() as file:
            groups = Counter(row["group"] for row in csv.DictReader(file))
        shared = [size for size in groups.values() if size > 1]
        print(f"## {about['title']}\n")
        print(
            f"{counts['listed']} images listed, {counts['used']} used, {counts['dropped']} dropped, at {about['size']} "
            f"pixels. {sum(shared)} images have near-duplicates, in {len(shared)} groups.\n"
        )
        for label, values in counts["by_label"].items():
            print(f"- {label}: " + ", ".join(f"{value} {count}" for value, count in values.items()))
        print("\n| finding | consequence | files | for example |")
        print("|---|---|---|---|")
        for (finding, consequence), count in Counter(
            (row["finding"], row["consequence"]) for row in rows
        ).most_common():
            mine = [row for row in rows if (row["finding"], row["consequence"]) == (finding, consequence)]
            examples = "; ".join(
                f"`{Path(row['file']).name}`" + (f": {row['detail']}" if row["detail"] else "")
                for row in mine[:EXAMPLES]
            )
            print(f"| {finding} | {consequence} | {count} | {examples} |")
        print()


if __name__ == "__main__":
    main()
