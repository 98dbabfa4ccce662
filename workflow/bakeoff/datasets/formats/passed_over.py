"""Files that a reader does not use, counted by what their names end in."""

from collections import defaultdict
from collections.abc import Collection, Iterable

from bakeoff.datasets.archives.records import Finding
from bakeoff.datasets.formats.names import is_picture, suffix


def passed_over(
    names: Iterable[str], used: Collection[str], pictures: str = "in no folder and of no name that is read"
) -> list[Finding]:
    """One finding for each kind of file that is not used: its first file, how many there are, and why.

    Parameters
    ----------
    pictures
        Why pictures are not used.
    """
    kinds = defaultdict(list)
    for name in names:
        if name not in used:
            kinds[suffix(name) or "no suffix"].append(name)
    why = {True: pictures, False: "no images"}
    return [
        Finding(files[0], "passed over", "dropped", f"{kind} ({len(files)}): {why[is_picture(files[0])]}")
        for kind, files in sorted(kinds.items())
    ]
