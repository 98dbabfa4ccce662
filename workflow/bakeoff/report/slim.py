"""SVG in fewer bytes: much of what matplotlib writes is for an editor to take apart, and a page needs none of it."""

import re

# Of a point: nobody sees less than hundredths.
DIGITS = 2
_NUMBER = re.compile(r"-?\d+\.\d+")
_REFERENCE = re.compile(r'(?:href="#|url\(#)([^")]+)')
# A path that is neither filled nor drawn, such as the background of a figure without one.
_UNSEEN = re.compile(r'<path d="[^"]*" style="fill: none"/>')


def slim(svg: str) -> str:
    """The same drawing with rounded numbers, and without line breaks, comments, and groups and ids that do nothing.

    Parameters
    ----------
    svg
        As matplotlib writes it. Its texts stay as they are.

    Examples
    --------
    >>> slim('<g id="axes_1">\\n <path d="M 43.088521 205.957745 \\nL 1.500000 2 \\n" style="stroke: red"/>\\n</g>')
    '<path d="M43.09 205.96L1.5 2" style="stroke: red"/>'
    """
    used = set(_REFERENCE.findall(svg))
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\sid="([^"]*)"', lambda found: found[0] if found[1] in used else "", svg)
    svg = re.sub(r">\s+<", "><", svg)
    svg = re.sub(r"<[^>]*>", lambda tag: _slim_tag(tag[0]), svg)
    return _without_plain_groups(_UNSEEN.sub("", svg))


def _slim_tag(tag: str) -> str:
    tag = re.sub(r"\s+", " ", tag)
    tag = re.sub(r' transform="rotate\(-?0 [^"]*\)"', "", tag)  # a turn by nothing
    tag = re.sub(r' d="([^"]*)"', lambda path: f' d="{_slim_path(path[1])}"', tag)
    return _NUMBER.sub(_rounded, tag)


def _slim_path(path: str) -> str:
    return re.sub(r"\s*([A-Za-z])\s*", r"\1", path).strip()


def _rounded(number: re.Match[str]) -> str:
    text = f"{float(number[0]):.{DIGITS}f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _without_plain_groups(svg: str) -> str:
    kept, open_groups = [], []
    for part in re.split(r"(<g\b[^>]*>|</g>)", svg):
        if part.startswith("<g") and not part.endswith("/>"):
            open_groups.append(part != "<g>")
            part = part if open_groups[-1] else ""
        elif part == "</g>":
            part = part if open_groups.pop() else ""
        kept.append(part)
    return "".join(kept)
