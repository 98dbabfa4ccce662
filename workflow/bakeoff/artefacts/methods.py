"""What a method's own file says of it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bakeoff.artefacts.constants import constants

PACKAGE = Path(__file__).parents[1]


def method_facts(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Name, title and citations of the method that an experiment runs.

    The file states `NAME`, `TITLE` and `CITATIONS`. Where it holds several methods each may be a mapping, from the
    configuration's `method` or from the values of the setting that `VARIANT` names.

    Parameters
    ----------
    settings
        As `bakeoff.config.Config.experiment` gives them: a network has a `model` and `settings`, any other method a
        `family` and a `method`.

    Returns
    -------
    dict
        `kind`: network, threshold or classical; `name`, as the field writes it; `title`, a noun phrase with its
        article; `citations`, works to cite. A file that states no name or title leaves the configuration's name.
    """
    if (name := settings.get("model")) is not None:
        kind, file = "network", f"models/{name}.py"
    else:
        name = settings["method"]
        kind, file = (
            ("threshold", "baselines/thresholds.py")
            if settings["family"] == "thresholds"
            else ("classical", "baselines/classical.py")
        )
    found = constants(PACKAGE / file)
    chosen = settings["settings"].get(found["VARIANT"], next(iter(found["NAME"]))) if "VARIANT" in found else name

    def fact(key: str, otherwise: Any) -> Any:
        value = found.get(key, otherwise)
        return value[chosen] if isinstance(value, Mapping) else value

    return {
        "kind": kind,
        "name": fact("NAME", name),
        "title": fact("TITLE", name),
        "citations": list(fact("CITATIONS", ())),
    }
