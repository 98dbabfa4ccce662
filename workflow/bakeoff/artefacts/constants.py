"""Facts that a method, a data set or weights state as plain constants of their own module."""

import ast
from contextlib import suppress
from pathlib import Path
from typing import Any


def constants(path: Path) -> dict[str, Any]:
    """Literal values assigned at the top level of a module, by name; the module is parsed, not imported."""
    found: dict[str, Any] = {}
    for statement in ast.parse(path.read_text(encoding="utf-8")).body:
        match statement:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
            ):
                with suppress(ValueError, TypeError):
                    found[name] = ast.literal_eval(value)
    return found
