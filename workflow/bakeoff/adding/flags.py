"""What a person types after `bakeoff add PATH`, as values of the configuration."""

from collections.abc import Mapping

from ruamel.yaml import YAML, YAMLError

from bakeoff.artefacts.channels import Levels
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.config.editing import plain
from bakeoff.datasets.formats.reading import Level

NONE = "none"


def parse_classes(text: str) -> dict[str, Level] | list[str]:
    """Classes as `background=0,cell=1+2`, as `background,cell`, or as YAML.

    Returns
    -------
    dict or list
        Names with their values, or names alone.

    Raises
    ------
    BakeoffError
        If it is neither.

    Examples
    --------
    >>> parse_classes("background=,cell=1+2,debris=#ff0000"), parse_classes("background, cell")
    ({'background': None, 'cell': [1, 2], 'debris': '#ff0000'}, ['background', 'cell'])
    """
    if text.lstrip().startswith(("{", "[")):
        return _yaml_classes(text)
    parts = [part.strip() for part in text.split(",")]
    named = [part.partition("=") for part in parts]
    if not all(name.strip() for name, _, _ in named):
        raise _wrong_classes(text)
    if all(not equals for _, equals, _ in named):
        return parts
    if not all(equals for _, equals, _ in named):
        raise _wrong_classes(text)
    return {name.strip(): _level(value.strip()) for name, _, value in named}


def _yaml_classes(text: str) -> dict[str, Level] | list[str]:
    try:
        values = plain(YAML(typ="safe").load(text))
    except YAMLError:
        raise _wrong_classes(text) from None
    if isinstance(values, Mapping):
        return dict(values)
    if isinstance(values, list):
        return [str(value) for value in values]
    raise _wrong_classes(text)


def _wrong_classes(text: str) -> BakeoffError:
    return BakeoffError(f"--classes '{text}' is no list of classes: write for example background=0,cell=255.")


def _level(text: str) -> Level:
    if not text:
        return None
    levels: list[int | str] = [_number(part) for part in text.split("+")]
    return levels if len(levels) > 1 else levels[0]


def parse_ignore(text: str) -> list[int | str]:
    """Void values as `11,255`; `none` for none."""
    return [] if text == NONE else [_number(part.strip()) for part in text.split(",") if part.strip()]


def _number(text: str) -> int | str:
    return int(text) if text.isdecimal() else text


def parse_levels(text: str) -> Levels:
    """The levels that become black and white, as `100,4000`, or one such pair after the other, a pair a channel.

    Raises
    ------
    BakeoffError
        If these are not pairs of numbers, the lower one first.

    Examples
    --------
    >>> parse_levels("100,4000"), parse_levels("100,4000,0,900")
    ((100.0, 4000.0), [(100.0, 4000.0), (0.0, 900.0)])
    """
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    pairs = list(zip(numbers[::2], numbers[1::2], strict=False))
    if not numbers or len(numbers) % 2 or not all(low < high for low, high in pairs):
        raise BakeoffError(
            f"--levels is '{text}': write the level that becomes black and the one that becomes white, of all or "
            "of each of the channels."
        )
    return pairs if len(pairs) > 1 else pairs[0]


def flagged(message: str, name: str, path: str) -> str:
    """A sentence about an entry of `folders`, as one about what was typed.

    Examples
    --------
    >>> flagged("folders.mine.ignore: state it. folders.mine: no. folders.mine.path: none.", "mine", "../a")
    '--ignore: state it. ../a: no. ../a: none.'
    """
    entry = f"folders.{name}"
    for key in FLAGS:
        message = message.replace(f"{entry}.{key}", f"--{key}")
    return message.replace(f"{entry}.path", path).replace(entry, path)


# Keys of an entry that have a flag of the same name.
FLAGS = (
    "format",
    "size",
    "geometry",
    "channels",
    "images",
    "masks",
    "classes",
    "background",
    "ignore",
    "threshold",
    "objects",
    "orientation",
    "levels",
    "labels",
    "split",
    "group",
)
