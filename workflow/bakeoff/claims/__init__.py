"""What published systems claim of themselves, `claims.yaml`: read, and checked once.

The file holds facts alone: what a system says, what its own files show, and which experiments of the configuration
answer to it. Verdicts are not in the file: `bakeoff.claims.verdict` computes them.
"""

from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from ruamel.yaml import YAML, YAMLError

from bakeoff.artefacts.errors import BakeoffError

CLAIMS = Path(__file__).with_name("claims.yaml")

# What a claim's number is: scores that the stages before write, counts of parameters, and what nothing here measures.
SCORES = ("accuracy", "error_rate", "dice", "iou", "pixel_accuracy")
PARAMETERS = ("parameters", "parameters_trainable", "parameters_frozen")
UNMEASURED = ("loss", "epochs", "skip_connections", "class_pixel_accuracy")
# The scores that methods are compared by, and their columns of `scores.csv`.
COMPARED = {"accuracy": "correct", "dice": "dice"}

# A number; true or false, for what is or is not so; null, where none is given.
Value = bool | float | None


class Section(BaseModel):
    """A part of the file: no key but those named, no silent conversion of types."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Statement(Section):
    """What is said or shown, and its number."""

    words: str
    value: Value
    # Images that it was measured on, where it is known.
    images: Annotated[int, Field(ge=1)] | None = None
    # Share of the largest class among them, which an accuracy has to beat.
    majority: Annotated[float, Field(gt=0, lt=1)] | None = None


class PublishedData(Section):
    """What a number was measured on: a data set of the configuration, or null for any other, and the images' side in
    pixels; `classes` has, by label, how many values it has there.

    `named` is false where the system does not say, and the data set is one that fits.
    """

    dataset: str | None
    named: bool = True
    words: str
    size: Annotated[int, Field(ge=1)] | None
    classes: dict[str, int] = {}


class Protocol(Section):
    """The experiment of the configuration that answers to a claim, and what is to be known of it; of none, why there
    is none.

    With `against` it is the lead of one experiment over another that answers.
    """

    experiment: str | None
    note: str
    against: str | None = None


class AsPublished(Protocol):
    """The published protocol. `explained`: a difference from the claimed count that `note` accounts for."""

    explained: int = 0


class Corrected(Protocol):
    """The protocol without the published one's fault. `removes_leak`: that fault let the answer through."""

    removes_leak: bool = False


class Conditions(Section):
    """When a claim and what the configuration finds are comparable.

    data
        any, where no image plays a part; whole, all images of the collection, from a mirror too; official, those very
        bytes.
    profile
        any, or full, where how long is trained plays a part.
    weights
        any, or pretrained.
    """

    data: Literal["any", "whole", "official"]
    profile: Literal["any", "full"]
    weights: Literal["any", "pretrained"]


class Claim(Section):
    """One number, or one assertion without a number, of one system."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    system: str
    where: str
    figure: Literal[SCORES + PARAMETERS + UNMEASURED]  # type: ignore[valid-type]
    claim: Statement
    shown: Statement
    data: PublishedData
    as_published: AsPublished
    corrected: Corrected
    comparable_when: Conditions
    # Why the experiment that answers is shown beside the claim, and yet says nothing of it.
    incomparable: str | None = None

    @property
    def published(self) -> Statement:
        """What there is to reproduce: the claimed number or, where none is claimed, the one that its files show."""
        return self.shown if self.claim.value is None else self.claim

    @model_validator(mode="after")
    def _coherent(self) -> "Claim":
        protocols = (self.as_published, self.corrected)
        if self.figure in UNMEASURED and any(each.experiment for each in protocols):
            raise ValueError(f"no experiment measures {self.figure}: set both experiments to null and say why")
        if any(each.against for each in protocols):
            if self.figure not in COMPARED:
                raise ValueError(f"'against' compares {' or '.join(COMPARED)}, and the figure is {self.figure}")
            if isinstance(self.published.value, float):
                raise ValueError("'against' answers true or false, and the claim is a number")
        if self.corrected.removes_leak and not all(each.experiment for each in protocols):
            raise ValueError("'removes_leak' takes an experiment with the leak and one without: name both")
        if self.corrected.removes_leak and self.figure not in COMPARED:
            raise ValueError(f"'removes_leak' is measured in {' or '.join(COMPARED)}, and the figure is {self.figure}")
        return self


class Claims(Section):
    """The whole file."""

    claims: Annotated[list[Claim], Field(min_length=1)]

    @model_validator(mode="after")
    def _each_once(self) -> "Claims":
        twice = [id_ for id_, count in Counter(claim.id for claim in self.claims).items() if count > 1]
        if twice:
            raise ValueError(f"ids stand for one claim each, and these for several: {', '.join(twice)}")
        return self


def read_claims(path: Path = CLAIMS) -> list[Claim]:
    """Read and check the claims, in the file's order.

    Raises
    ------
    BakeoffError
        One sentence a mistake, with the claim and the key.
    """
    try:
        values = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BakeoffError(f"{path} is missing: restore it with `git checkout {path}`.") from None
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise BakeoffError(f"{path}{line} is not valid YAML: {getattr(error, 'problem', error)}.") from None
    # Entries may share what stands above the list by YAML's anchors.
    listed = {"claims": values.get("claims")} if isinstance(values, dict) else {"claims": None}
    try:
        return Claims.model_validate(listed).claims
    except ValidationError as error:
        raise BakeoffError("\n".join(_sentence(path, listed, dict(each)) for each in error.errors())) from None


def _sentence(path: Path, values: dict[str, Any], mistake: dict[str, Any]) -> str:
    location = list(mistake["loc"])
    if len(location) > 1 and isinstance(location[1], int):
        entry = values["claims"][location[1]]
        location[1] = entry.get("id", location[1]) if isinstance(entry, dict) else location[1]
    message = str(mistake["msg"]).removeprefix("Value error, ")
    return f"{path}: {'.'.join(map(str, location))}: {message[:1].lower()}{message[1:]}."
