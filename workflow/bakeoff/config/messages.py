"""What pydantic found wrong, as one sentence a mistake that names the key and the nearest valid word."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from bakeoff.config.naming import nearest
from bakeoff.config.schema import Section


def sentences(error: ValidationError, path: Path) -> list[str]:
    """One sentence a mistake, which begins with the file's name."""
    return [f"{path}: {sentence}" for sentence in bare_sentences(error, ())]


def bare_sentences(error: ValidationError, prefix: tuple[str, ...]) -> list[str]:
    """One sentence a mistake; `prefix` is where in the configuration the checked values stand."""
    # A value that fits no member of a union is reported once a member: the first, the words, says it best.
    mistakes = [details for details in error.errors(include_url=False) if "constrained-int" not in details["loc"]]
    return [_sentence(details, prefix) for details in mistakes]


def _sentence(details: ErrorDetails, prefix: tuple[str, ...]) -> str:
    location = [*prefix, *(str(part) for part in details["loc"])]
    key = _key(location)
    given = details.get("input")
    if details["type"].startswith("union_tag"):
        key += "." + re.findall(r"'(\w+)'", details["ctx"]["discriminator"])[-1]  # the key as it is written, its alias
    if details["type"] == "extra_forbidden":
        if location[-1] in known_keys():
            return f"{key} does not belong there: take it out."
        return f"{key} is not a key of the configuration{nearest(location[-1], known_keys(), listed=False)}."
    if details["type"] in ("missing", "union_tag_not_found"):
        return f"{key} is missing: add it."
    if details["type"] in ("literal_error", "union_tag_invalid") and "ctx" in details:
        expected = str(details["ctx"].get("expected") or details["ctx"].get("expected_tags"))
        value = details["ctx"].get("tag", given)
        known = re.findall(r"'([^']+)'", expected)
        return f"{key} is {value!r}, but must be {expected}{nearest(str(value), known, listed=False)}."
    if details["type"] in ("model_type", "model_attributes_type"):
        return f"{key} is {given!r}, where keys with values belong: see params.yaml's other entries."
    message = details["msg"].removeprefix("Value error, ")
    shown = f" (it is {given!r})" if given is None or isinstance(given, str | int | float) else ""
    return f"{key}: {message[:1].lower()}{message[1:]}{shown}."


# pydantic puts the chosen member of a union into the path, which is no key of the configuration: where, by section.
_UNION_MEMBER = {"datasets": 4, "derived": 2, "tasks": 3, "weights": 3, "experiments": 5}


def _key(location: Sequence[str]) -> str:
    """Path of a mistake in the configuration; a list of types that pydantic tried ends in a bracket."""
    member = _UNION_MEMBER.get(location[0])
    return ".".join(part for position, part in enumerate(location) if position != member and not part.endswith("]"))


def known_keys() -> list[str]:
    """Every key that some section of the configuration has."""
    return sorted({field.alias or name for model in _sections() for name, field in model.model_fields.items()})


def _sections(above: type[Section] = Section) -> Iterable[type[Section]]:
    for section in above.__subclasses__():
        yield section
        yield from _sections(section)
