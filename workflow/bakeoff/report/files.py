"""Files that a page carries in itself, to be saved by whoever reads it."""

import base64


def file_uri(text: str, kind: str = "csv") -> str:
    """A text file, UTF-8, as a data URI; `kind` as in `text/csv`."""
    return f"data:text/{kind};charset=utf-8;base64,{base64.b64encode(text.encode()).decode('ascii')}"
