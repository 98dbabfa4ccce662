# Scores, comparison, report.


# What Snakemake's report shows of a classifier.
CLASS_FILES = {
    "curves.csv": dict(caption="../report/curves.rst", category="Classification"),
    "calibration.csv": dict(
        caption="../report/calibration.rst", category="Classification"
    ),
    "confusion.csv": dict(caption="../report/confusion.rst", category="Classification"),
}


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
    threads: 1 if SAMPLE else 2
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        repro=stages.repro("score-threshold"),
    shell:
        "{params.repro} > {log} 2>&1"


use rule score_threshold as score_network with:
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
    params:
        repro=stages.repro("score-network"),


use rule score_threshold as score_pretrained with:
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
    params:
        repro=stages.repro("score-pretrained"),


use rule score_threshold as score_classifier with:
    # The same lines score every classification.
    input:
        stages.inputs("score-classifier"),
    output:
        stages.outputs("score-classifier", in_report=CLASS_FILES),
    log:
        "logs/score-classifier/{key}.log",
    benchmark:
        "logs/score-classifier/{key}.benchmark.tsv"
    wildcard_constraints:
        key=stages.keys("score-classifier"),
    params:
        repro=stages.repro("score-classifier"),


use rule score_threshold as score_on_input with:
    # The same lines score every classification.
    input:
        stages.inputs("score-on-input"),
    output:
        stages.outputs("score-on-input", in_report=CLASS_FILES),
    log:
        "logs/score-on-input/{key}.log",
    benchmark:
        "logs/score-on-input/{key}.benchmark.tsv"
    wildcard_constraints:
        key=stages.keys("score-on-input"),
    params:
        repro=stages.repro("score-on-input"),


use rule score_threshold as score_classical with:
    # The same lines score every classification.
    input:
        stages.inputs("score-classical"),
    output:
        stages.outputs("score-classical", in_report=CLASS_FILES),
    log:
        "logs/score-classical/{key}.log",
    benchmark:
        "logs/score-classical/{key}.benchmark.tsv"
    wildcard_constraints:
        key=stages.keys("score-classical"),
    params:
        repro=stages.repro("score-classical"),


rule compare:
    # The ranking of one task.
    input:
        stages.inputs("compare"),
    output:
        stages.outputs(
            "compare",
            in_report={
                # The first that fits is taken.
                "-pairs.csv": dict(
                    caption="../report/pairs.rst", category="Comparison"
                ),
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
    threads: 1 if SAMPLE else 2
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        repro=stages.repro("compare"),
    shell:
        "{params.repro} > {log} 2>&1"


rule audit:
    # Leaks of one task. Reads pictures and the split, no result.
    input:
        stages.inputs("audit"),
    output:
        stages.outputs("audit"),
    log:
        "logs/audit/{key}.log",
    benchmark:
        "logs/audit/{key}.benchmark.tsv"
    wildcard_constraints:
        key=stages.keys("audit"),
    conda:
        "../../envs/bakeoff.yaml"
    threads: 1 if SAMPLE else 2
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        repro=stages.repro("audit"),
    shell:
        "{params.repro} > {log} 2>&1"


rule inflation:
    # What leaks add to scores.
    input:
        stages.inputs("inflation"),
    output:
        stages.outputs(
            "inflation",
            in_report={
                ".csv": dict(caption="../report/inflation.rst", category="Comparison"),
            },
        ),
    log:
        "logs/inflation.log",
    benchmark:
        "logs/inflation.benchmark.tsv"
    conda:
        "../../envs/bakeoff.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        repro=stages.repro("inflation"),
    shell:
        "{params.repro} > {log} 2>&1"


rule claims:
    # Published numbers beside the ones found here.
    input:
        stages.inputs("claims"),
    output:
        stages.outputs(
            "claims",
            in_report={
                ".csv": dict(caption="../report/claims.rst", category="Comparison"),
            },
        ),
    log:
        "logs/claims.log",
    benchmark:
        "logs/claims.benchmark.tsv"
    conda:
        "../../envs/bakeoff.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        repro=stages.repro("claims"),
    shell:
        "{params.repro} > {log} 2>&1"


rule report:
    # All pages. They are no part of Snakemake's own report, which would have to be a zip file to hold a folder; the
    # figures are, and it names the pages.
    input:
        stages.inputs("report"),
    output:
        stages.outputs("report"),
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
