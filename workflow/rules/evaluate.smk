# Scores, comparison, report.


rule score_threshold:
    # The same lines score every method.
    input:
        stages.inputs("score-threshold"),
    output:
        stages.outputs("score-threshold"),
    log:
        "logs/score-threshold/{key}.log",
    benchmark:
        "logs/score-threshold/{key}.benchmark.tsv"
    wildcard_constraints:
        key=stages.keys("score-threshold"),
    conda:
        "../../envs/bakeoff.yaml"
    threads: 2
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        repro=stages.repro("score-threshold"),
    shell:
        "{params.repro} > {log} 2>&1"


rule score_network:
    # The same lines score every method.
    input:
        stages.inputs("score-network"),
    output:
        stages.outputs("score-network"),
    log:
        "logs/score-network/{key}.log",
    benchmark:
        "logs/score-network/{key}.benchmark.tsv"
    wildcard_constraints:
        key=stages.keys("score-network"),
    conda:
        "../../envs/bakeoff.yaml"
    threads: 2
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        repro=stages.repro("score-network"),
    shell:
        "{params.repro} > {log} 2>&1"


rule score_pretrained:
    # The same lines score every method.
    input:
        stages.inputs("score-pretrained"),
    output:
        stages.outputs("score-pretrained"),
    log:
        "logs/score-pretrained/{key}.log",
    benchmark:
        "logs/score-pretrained/{key}.benchmark.tsv"
    wildcard_constraints:
        key=stages.keys("score-pretrained"),
    conda:
        "../../envs/bakeoff.yaml"
    threads: 2
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        repro=stages.repro("score-pretrained"),
    shell:
        "{params.repro} > {log} 2>&1"


rule compare:
    # The ranking of one data set.
    input:
        stages.inputs("compare"),
    output:
        stages.outputs(
            "compare",
            in_report={
                ".csv": dict(caption="../report/ranking.rst", category="Comparison"),
                ".svg": dict(
                    caption="../report/comparison.rst", category="Comparison"
                ),
            },
        ),
    log:
        "logs/compare/{key}.log",
    benchmark:
        "logs/compare/{key}.benchmark.tsv"
    wildcard_constraints:
        key=stages.keys("compare"),
    conda:
        "../../envs/bakeoff.yaml"
    threads: 2
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        repro=stages.repro("compare"),
    shell:
        "{params.repro} > {log} 2>&1"


rule report:
    # One page.
    input:
        stages.inputs("report"),
    output:
        stages.outputs(
            "report",
            in_report={
                "report": dict(
                    htmlindex="index.html",
                    caption="../report/page.rst",
                    category="Report",
                )
            },
        ),
    log:
        "logs/report.log",
    benchmark:
        "logs/report.benchmark.tsv"
    conda:
        "../../envs/bakeoff.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        repro=stages.repro("report"),
    shell:
        "{params.repro} > {log} 2>&1"
