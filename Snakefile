# When and where. What each stage runs, reads and writes stands in dvc.yaml; DVC remembers what was computed.
import sys
from pathlib import Path

from snakemake.utils import min_version

min_version("9.27")
sys.path.insert(0, str(Path(workflow.basedir) / "workflow"))

from bakeoff.engine import hold_clone
from dvc_stages import Stages
from one_timer import spare_snakemake
from patient_dvc import spare_dvc
from warm_start import WarmProcesses

MAIN_PROCESS = workflow.is_main_process
if MAIN_PROCESS:
    hold_clone(Path(workflow.basedir))
spare_dvc()
spare_snakemake()
stages = Stages(workflow.basedir, judge=MAIN_PROCESS)

# The sample's networks are so small that a second core hardly helps, and that any number of them fits onto a GPU: each
# takes one core, and as many run at once as there are cores. Those of full size have a GPU to themselves.
SAMPLE = stages.parameter("profile") == "sample"
NETWORK_THREADS = 1 if SAMPLE else 8
NETWORK_GPUS = 0 if SAMPLE else 1
warm_processes = []


onstart:
    # Not for a dry run, nor for a report.
    if SAMPLE and MAIN_PROCESS and stages.changed:
        warm_processes.append(WarmProcesses())


report: "workflow/report/workflow.rst"


include: "workflow/rules/data.smk"
include: "workflow/rules/fit.smk"
include: "workflow/rules/predict.smk"
include: "workflow/rules/export.smk"
include: "workflow/rules/evaluate.smk"


rule all:
    default_target: True
    input:
        stages.everything(),
