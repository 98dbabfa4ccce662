"""Annotation files as plain values: JSON and XML, of a size and depth that memory and stack can bear."""

import json
import re
from collections.abc import Sequence
from typing import Any
from xml.etree.ElementTree import Element, ParseError

import defusedxml.ElementTree
import numpy as np
from defusedxml import DefusedXmlException

from bakeoff.artefacts.errors import BakeoffError
from bakeoff.datasets.formats.names import suffix
from bakeoff.datasets.formats.reading import Tree

# What a document raises that is not of the form that a reader takes it for.
DAMAGE = (KeyError, IndexError, TypeError, AttributeError, ValueError, OverflowError)

# As Python values a file takes about ten times its size.
MAXIMUM_BYTES = 256 << 20
# COCO's polygons, the deepest that are read, have seven.
MAXIMUM_DEPTH = 32

_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"')


# A folder of thousands of annotation files is recognised by these many.
SAMPLE = 40


def holding(tree: Tree, suffixes: Sequence[str], *words: bytes, sample: bool = False) -> list[str]:
    """Files of these suffixes that hold all of these bytes: cheaper than parsing them.

    Parameters
    ----------
    sample
        Look at `SAMPLE` files at most, spread over all.
    """
    names = [name for name in tree.names if suffix(name) in suffixes]
    if sample and len(names) > SAMPLE:
        names = [names[at * len(names) // SAMPLE] for at in range(SAMPLE)]
    return [name for name in names if all(word in data for data in [tree.read(name)] for word in words)]


class NotADocument(Exception):
    """Bytes that are no JSON or no XML, or more than is read; the message says which, without the name of the file."""


def read_json(tree: Tree, name: str) -> Any:
    """Values of a JSON file.

    Raises
    ------
    BakeoffError
        If it is no JSON, or too large or too deep.
    """
    try:
        return parse_json(tree.read(name))
    except NotADocument as error:
        raise BakeoffError(f"{name} {error}: mend it, or take it out of the folder.") from None


def parse_json(data: bytes) -> Any:
    """Values of JSON in UTF-8, UTF-16 or UTF-32, with or without a byte order mark.

    Raises
    ------
    NotADocument
        If it is no JSON, or too large or too deep.
    """
    _require_size(data)
    if _depth(data) > MAXIMUM_DEPTH and _depth(_STRING.sub(b"", data)) > MAXIMUM_DEPTH:
        raise NotADocument(f"is nested more than {MAXIMUM_DEPTH} levels deep, which no annotation is")
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise NotADocument(f"is no valid JSON ({error})") from None


def read_xml(tree: Tree, name: str) -> Element:
    """Root of an XML file; entities and references to other files are refused.

    Raises
    ------
    BakeoffError
        If it is no XML, too large, or has entities.
    """
    try:
        return parse_xml(tree.read(name))
    except NotADocument as error:
        raise BakeoffError(f"{name} {error}: mend it, or take it out of the folder.") from None


def parse_xml(data: bytes) -> Element:
    """Root of XML; entities and references to other files are refused.

    Raises
    ------
    NotADocument
        If it is no XML, too large, or has entities.
    """
    _require_size(data)
    try:
        return defusedxml.ElementTree.fromstring(data)
    except DefusedXmlException:
        raise NotADocument("declares entities, which no annotation needs") from None
    except (ParseError, ValueError, LookupError) as error:
        raise NotADocument(f"is no valid XML ({error})") from None


def _require_size(data: bytes) -> None:
    if len(data) > MAXIMUM_BYTES:
        raise NotADocument(f"has {len(data):,} bytes, above the {MAXIMUM_BYTES:,} that are read: split it")


def _depth(data: bytes) -> int:
    """Most brackets open at a time, those inside of strings counted too."""
    brackets = np.frombuffer(data.translate(None, delete=_NO_BRACKETS), np.uint8)
    steps = np.where((brackets == ord("[")) | (brackets == ord("{")), 1, -1)
    return int(np.cumsum(steps).max(initial=0))
