# Archives, weights, prepared arrays, made pictures, splits.


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


rule pack:
    # One folder of one's own images.
    input:
        stages.inputs("pack"),
    output:
        stages.outputs("pack"),
    log:
        "logs/pack/{key}.log",
    benchmark:
        "logs/pack/{key}.benchmark.tsv"
    wildcard_constraints:
        key=stages.keys("pack"),
    conda:
        "../../envs/bakeoff.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=60,
    params:
        repro=stages.repro("pack"),
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


rule prepare_folder:
    # Decoding is spread over the threads.
    input:
        stages.inputs("prepare-folder"),
    output:
        stages.outputs("prepare-folder"),
    log:
        "logs/prepare-folder/{key}.log",
    benchmark:
        "logs/prepare-folder/{key}.benchmark.tsv"
    wildcard_constraints:
        key=stages.keys("prepare-folder"),
    conda:
        "../../envs/bakeoff.yaml"
    threads: 4
    resources:
        mem_mb=2500,
        runtime=120,
    params:
        repro=stages.repro("prepare-folder"),
    shell:
        "{params.repro} > {log} 2>&1"


rule make_input:
    # Cheap: drawn from prepared arrays.
    input:
        stages.inputs("input"),
    output:
        stages.outputs("input"),
    log:
        "logs/input/{key}.log",
    benchmark:
        "logs/input/{key}.benchmark.tsv"
    wildcard_constraints:
        key=stages.keys("input"),
    conda:
        "../../envs/bakeoff.yaml"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=30,
    params:
        repro=stages.repro("input"),
    shell:
        "{params.repro} > {log} 2>&1"


rule split:
    # Cheap: reads the index alone.
    input:
        stages.inputs("split"),
    output:
        stages.outputs("split"),
    log:
        "logs/split/{key}.log",
    benchmark:
        "logs/split/{key}.benchmark.tsv"
    wildcard_constraints:
        key=stages.keys("split"),
    conda:
        "../../envs/bakeoff.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        repro=stages.repro("split"),
    shell:
        "{params.repro} > {log} 2>&1"
