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
    # All else waits for what takes longest.
    priority: 1
    conda:
        "../../envs/bakeoff.yaml"
    threads: NETWORK_THREADS
    resources:
        gpu=NETWORK_GPUS,
        mem_mb=8000,
        runtime=1440,
    params:
        repro=stages.repro("fit-network"),
    shell:
        "{params.repro} > {log} 2>&1"


use rule fit_network as fit_pretrained with:
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
    params:
        repro=stages.repro("fit-pretrained"),


use rule fit_network as fit_classifier with:
    # Classifiers whose encoder starts from published weights.
    input:
        stages.inputs("fit-classifier"),
    output:
        stages.outputs(
            "fit-classifier",
            in_report={
                "history": dict(
                    patterns=["{seed}/{curve}.csv"],
                    caption="../report/history.rst",
                    category="Training",
                )
            },
        ),
    log:
        "logs/fit-classifier/{key}.log",
    benchmark:
        "logs/fit-classifier/{key}.benchmark.tsv"
    wildcard_constraints:
        key=stages.keys("fit-classifier"),
    params:
        repro=stages.repro("fit-classifier"),


use rule fit_network as fit_on_input with:
    # The same on pictures made from a data set's.
    input:
        stages.inputs("fit-on-input"),
    output:
        stages.outputs(
            "fit-on-input",
            in_report={
                "history": dict(
                    patterns=["{seed}/{curve}.csv"],
                    caption="../report/history.rst",
                    category="Training",
                )
            },
        ),
    log:
        "logs/fit-on-input/{key}.log",
    benchmark:
        "logs/fit-on-input/{key}.benchmark.tsv"
    wildcard_constraints:
        key=stages.keys("fit-on-input"),
    params:
        repro=stages.repro("fit-on-input"),


rule fit_classical:
    # Classical methods want no GPU.
    input:
        stages.inputs("fit-classical"),
    output:
        stages.outputs("fit-classical"),
    log:
        "logs/fit-classical/{key}.log",
    benchmark:
        "logs/fit-classical/{key}.benchmark.tsv"
    wildcard_constraints:
        key=stages.keys("fit-classical"),
    conda:
        "../../envs/bakeoff.yaml"
    threads: 1 if SAMPLE else 2
    resources:
        mem_mb=8000,
        runtime=240,
    params:
        repro=stages.repro("fit-classical"),
    shell:
        "{params.repro} > {log} 2>&1"
