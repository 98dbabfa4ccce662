# A rule for every group of stages in dvc.yaml: threads, memory, time and GPUs are here, all else is read from there.

# The sample's networks are so small that a second core hardly helps: each takes one core and no GPU of its own, and as
# many run at once as there are cores. Those of full size have a GPU to themselves.
SAMPLE = settings.profile == "sample"
# What is done with one's own images has its full size at every profile.
OWN = {
    name
    for entries in (settings.tasks, settings.networks, settings.predicted_masks)
    for name, entry in entries.items()
    if entry.dataset in settings.folders
}


# `most` of a resource, `least` at the sample profile; a function of Snakemake's wildcards.
unless_small = lambda most, least: lambda wildcards: (
    least if SAMPLE and wildcards.key not in OWN else most
)
NETWORK = dict(
    threads=unless_small(8, 1),
    gpu=unless_small(1, 0),
    mem_mb=8000,
    runtime=1440,
    priority=1,  # all else waits for what takes longest
)
GROUPS = {
    "download": dict(runtime=240),
    "prepare": dict(threads=4, mem_mb=2500, runtime=120),
    "prepare-folder": dict(threads=4, mem_mb=2500, runtime=120),
    "split": dict(runtime=10),
    "weights": dict(mem_mb=2000, runtime=60),
    "train": NETWORK,
    "masks": NETWORK,
    "baselines": dict(threads=unless_small(4, 1), mem_mb=4000, runtime=240),
    "derive": dict(mem_mb=1500),
    "evaluate": dict(threads=unless_small(4, 1), mem_mb=4000, runtime=120),
    "export": dict(mem_mb=8000, runtime=60),
    "card": dict(mem_mb=2000),
    "card-folder": dict(mem_mb=2000),
    "report": dict(mem_mb=2000),
    "index": dict(mem_mb=2000),
}


# What Snakemake's own report shows, by the end of a path; the first that fits is taken.
IN_REPORT = {
    "history": dict(
        caption="../report/history.rst",
        category="Training",
        patterns=["{seed}/{curve}.csv"],
    ),
    "comparison.csv": dict(caption="../report/ranking.rst", category="Comparison"),
    "comparison.svg": dict(caption="../report/comparison.rst", category="Comparison"),
    "pairs.csv": dict(caption="../report/pairs.rst", category="Comparison"),
    "leakage.csv": dict(caption="../report/leakage.rst", category="Comparison"),
    "claims.csv": dict(caption="../report/claims.rst", category="Comparison"),
    "curves": dict(
        caption="../report/curves.rst",
        category="Classification",
        patterns=["{experiment}.csv"],
    ),
    "confusion": dict(
        caption="../report/confusion.rst",
        category="Classification",
        patterns=["{experiment}.csv"],
    ),
}

for group, needs in GROUPS.items():

    rule:
        name:
            group.replace("-", "_")
        input:
            stages.inputs(group),
        output:
            stages.outputs(group, IN_REPORT),
        log:
            f"{stages.log(group)}.log",
        benchmark:
            f"{stages.log(group)}.benchmark.tsv"
        wildcard_constraints:
            **stages.constraints(group),
        priority: needs.get("priority", 0)
        conda:
            "../../envs/bakeoff.yaml"
        threads: needs.get("threads", 1)
        resources:
            gpu=needs.get("gpu", 0),
            mem_mb=needs.get("mem_mb", 1000),
            runtime=needs.get("runtime", 30),
        params:
            repro=stages.repro(group),
        message:
            stages.message(group)
        # The log has everything; lines of progress, which say how much time is left, reach the terminal too.
        shell:
            "{params.repro} 2>&1 | tee {log} | sed -un '\\| left$|p' >&2"
