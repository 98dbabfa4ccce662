# When and where. What each stage runs, reads and writes stands in dvc.yaml; DVC remembers what was computed.
import sys
import time
from pathlib import Path

from snakemake.utils import min_version

min_version("9.27")
sys.path.insert(0, str(Path(workflow.basedir) / "workflow"))

from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.layout import Project, leftovers
from bakeoff.config import read_config
from bakeoff.engine import hold_clone
from bakeoff.stage_inputs import drop_recorded
from dvc_stages import Stages

try:
    settings = read_config(Path(workflow.basedir) / "params.yaml")
    stages = Stages(workflow)
except BakeoffError as error:
    sys.exit(str(error))
project, began = Project(Path(workflow.basedir)), time.time()
for left in leftovers(project, settings.tasks_of_experiments()):
    print(
        f"{left} belongs to no experiment of params.yaml: delete the folder to take it out of the comparison.",
        file=sys.stderr,
    )


onstart:
    # Not for a dry run, nor for a report.
    try:
        hold_clone(Path(workflow.basedir))
    except BakeoffError as error:
        sys.exit(str(error))
    drop_recorded(Path(workflow.basedir))


onsuccess:
    drop_recorded(Path(workflow.basedir))
    from bakeoff.report.ending import ending

    for task in settings.tasks:
        page = project.report / f"{task}.html"
        if page.exists() and page.stat().st_mtime >= began:
            print(*ending(task, Project()), sep="\n", file=sys.stderr)


onerror:
    drop_recorded(Path(workflow.basedir))


report: "workflow/report/workflow.rst"


include: "workflow/rules/stages.smk"


rule all:
    default_target: True
    input:
        stages.everything(),
