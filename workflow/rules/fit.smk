# Training. One network at a time has a GPU, or the cores where there is none.


rule fit_network:
    # Networks from random weights.
    input:
        stages.inputs("fit-network"),
    output:
        stages.outputs(
            "fit-network",
            in_report={
                "history": dict(
                    patterns=["{seed}/{curve}.csv"],
                    caption="../report/history.rst",
                    category="Training",
                )
            },
        ),
    log:
        "logs/fit-network/{key}.log",
    benchmark:
        "logs/fit-network/{key}.benchmark.tsv"
    wildcard_constraints:
        key=stages.keys("fit-network"),
    conda:
        "../../envs/bakeoff.yaml"
    threads: 8
    resources:
        gpu=1,
        mem_mb=8000,
        runtime=1440,
    params:
        repro=stages.repro("fit-network"),
    shell:
        "{params.repro} > {log} 2>&1"


rule fit_pretrained:
    # Networks whose encoder starts from published weights.
    input:
        stages.inputs("fit-pretrained"),
    output:
        stages.outputs(
            "fit-pretrained",
            in_report={
                "history": dict(
                    patterns=["{seed}/{curve}.csv"],
                    caption="../report/history.rst",
                    category="Training",
                )
            },
        ),
    log:
        "logs/fit-pretrained/{key}.log",
    benchmark:
        "logs/fit-pretrained/{key}.benchmark.tsv"
    wildcard_constraints:
        key=stages.keys("fit-pretrained"),
    conda:
        "../../envs/bakeoff.yaml"
    threads: 8
    resources:
        gpu=1,
        mem_mb=8000,
        runtime=1440,
    params:
        repro=stages.repro("fit-pretrained"),
    shell:
        "{params.repro} > {log} 2>&1"
