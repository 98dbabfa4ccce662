# When and where. What each stage runs, reads and writes stands in dvc.yaml; DVC remembers what was computed.
import sys
from pathlib import Path

from snakemake.utils import min_version

min_version("9.27")
sys.path.insert(0, str(Path(workflow.basedir) / "workflow"))

from bakeoff.engine import hold_clone
from dvc_stages import Stages
from patient_dvc import parse_parameters_once

MAIN_PROCESS = workflow.is_main_process
if MAIN_PROCESS:
    hold_clone(Path(workflow.basedir))
parse_parameters_once()
stages = Stages(workflow.basedir, judge=MAIN_PROCESS)


report: "workflow/report/workflow.rst"


include: "workflow/rules/data.smk"
include: "workflow/rules/fit.smk"
include: "workflow/rules/predict.smk"
include: "workflow/rules/evaluate.smk"


rule all:
    default_target: True
    input:
        stages.all_outputs(),
