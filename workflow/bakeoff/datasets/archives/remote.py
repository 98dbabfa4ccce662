"""Where a published file is. In a module of its own, so that an address loads no HTTP library."""

from dataclasses import dataclass


@dataclass(frozen=True)
class RemoteFile:
    """A published file.

    Attributes
    ----------
    name
        Its name, here and in a mirror.
    urls
        Official addresses, tried in order.
    sha256
        Published digest, or the first digits of it (torchvision's file names carry 8); None where none is published.
    """

    name: str
    urls: tuple[str, ...]
    sha256: str | None
