"""How many channels the images of a folder have: by what the files say of themselves, or as typed."""

from collections.abc import Sequence

from bakeoff.adding.looking import Looked
from bakeoff.artefacts.channels import GREY, MOST_CHANNELS, RGB, named
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.datasets.preparation.decode import Header

FLAG = "--channels"


def parse_channels(text: str) -> int:
    """A number of channels.

    Raises
    ------
    BakeoffError
        If it is none.
    """
    if not text.isdecimal() or not 1 <= int(text) <= MOST_CHANNELS:
        raise BakeoffError(
            f"{FLAG} is '{text}': images become 1 channel (grey levels) or 3 (RGB), or keep their own, at most "
            f"{MOST_CHANNELS}."
        )
    return int(text)


def choose_channels(looked: Looked, stated: int | None) -> tuple[int, str]:
    """How many channels images become, and why.

    Raises
    ------
    BakeoffError
        If the files differ, or do not say.
    """
    if stated is not None:
        return stated, "as typed"
    headers = list(looked.headers.values())
    _require_alike(looked)
    own = max((header.channels for header in headers), default=0)
    if own > MOST_CHANNELS:
        raise BakeoffError(f"The images have {own} channels, and at most {MOST_CHANNELS} are read: choose among them.")
    if own:
        return own, f"the images have so many of their own{_pages(headers)}"
    _require_said(headers)
    channels = RGB if looked.coloured else GREY
    reason = f"{looked.coloured} of {looked.decoded} images looked at have colours"
    if channels == RGB and all(header.kind.startswith("TIFF, RGBA") for header in headers):
        return channels, f"{reason}; the fourth channel is transparency, by what the files say"
    return channels, reason + (f"{_pages(headers)}; the first page counts" if headers[0].pages else "")


def _require_alike(looked: Looked) -> None:
    """Refuse images of several numbers of channels; three that are no colours go with RGB."""
    first: dict[int, str] = {}
    for name, header in looked.headers.items():
        first.setdefault(header.channels, name)
    if len(first) < 2 or set(first) == {0, RGB}:
        return
    counts = [sum(header.channels == each for header in looked.headers.values()) for each in first]
    listed = ", ".join(
        f"{named(channels) if channels else 'grey levels or RGB'} ({count}, the first {name})"
        for count, (channels, name) in zip(counts, first.items(), strict=True)
    )
    raise BakeoffError(
        f"The images differ in their channels: {listed}: name those that are to be used with --images, or state "
        f"{FLAG}, which leaves out those that have others."
    )


def _require_said(headers: Sequence[Header]) -> None:
    """Refuse to guess whether pages, or samples beyond RGB, are channels."""
    counts = {header.unsaid for header in headers}
    if len(counts) != 1 or (count := counts.pop()) < 2:
        return
    if headers[0].pages:
        raise BakeoffError(
            f"The images have {count} pages each, and do not say what they are: state {FLAG} {count} if they are "
            f"channels, or {FLAG} 1 if the first is the image."
        )
    raise BakeoffError(
        f"The images have {count} channels, of which three are RGB, and do not say what the others are: state {FLAG} "
        f"{count} to use them, or {FLAG} 3 to leave them out."
    )


def _pages(headers: Sequence[Header]) -> str:
    pages = {header.pages for header in headers}
    return f", axes {pages.pop()}" if len(pages) == 1 and headers[0].pages else ""
