# Archives, weights, prepared arrays.


rule download:
    # The archives of one data set.
    input:
        stages.inputs("download"),
    output:
        stages.outputs("download"),
    log:
        "logs/download/{key}.log",
    benchmark:
        "logs/download/{key}.benchmark.tsv"
    wildcard_constraints:
        key=stages.keys("download"),
    conda:
        "../../envs/bakeoff.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=240,
    params:
        repro=stages.repro("download"),
    shell:
        "{params.repro} > {log} 2>&1"


rule weights:
    # One set of pretrained weights.
    input:
        stages.inputs("weights"),
    output:
        stages.outputs("weights"),
    log:
        "logs/weights/{key}.log",
    benchmark:
        "logs/weights/{key}.benchmark.tsv"
    wildcard_constraints:
        key=stages.keys("weights"),
    conda:
        "../../envs/bakeoff.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        repro=stages.repro("weights"),
    shell:
        "{params.repro} > {log} 2>&1"


rule prepare:
    # Decoding is spread over the threads.
    input:
        stages.inputs("prepare"),
    output:
        stages.outputs("prepare"),
    log:
        "logs/prepare/{key}.log",
    benchmark:
        "logs/prepare/{key}.benchmark.tsv"
    wildcard_constraints:
        key=stages.keys("prepare"),
    conda:
        "../../envs/bakeoff.yaml"
    threads: 4
    resources:
        mem_mb=2500,
        runtime=120,
    params:
        repro=stages.repro("prepare"),
    shell:
        "{params.repro} > {log} 2>&1"
