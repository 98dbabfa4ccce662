# Predictions for the test images, in one format whatever the method.


rule predict_threshold:
    # From the histograms; no GPU.
    input:
        stages.inputs("predict-threshold"),
    output:
        stages.outputs("predict-threshold"),
    log:
        "logs/predict-threshold/{key}.log",
    benchmark:
        "logs/predict-threshold/{key}.benchmark.tsv"
    wildcard_constraints:
        key=stages.keys("predict-threshold"),
    conda:
        "../../envs/bakeoff.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        repro=stages.repro("predict-threshold"),
    shell:
        "{params.repro} > {log} 2>&1"


rule predict_network:
    # Every seed's network.
    input:
        stages.inputs("predict-network"),
    output:
        stages.outputs("predict-network"),
    log:
        "logs/predict-network/{key}.log",
    benchmark:
        "logs/predict-network/{key}.benchmark.tsv"
    wildcard_constraints:
        key=stages.keys("predict-network"),
    conda:
        "../../envs/bakeoff.yaml"
    threads: 8
    resources:
        gpu=1,
        mem_mb=8000,
        runtime=120,
    params:
        repro=stages.repro("predict-network"),
    shell:
        "{params.repro} > {log} 2>&1"


rule predict_pretrained:
    # Every seed's network.
    input:
        stages.inputs("predict-pretrained"),
    output:
        stages.outputs("predict-pretrained"),
    log:
        "logs/predict-pretrained/{key}.log",
    benchmark:
        "logs/predict-pretrained/{key}.benchmark.tsv"
    wildcard_constraints:
        key=stages.keys("predict-pretrained"),
    conda:
        "../../envs/bakeoff.yaml"
    threads: 8
    resources:
        gpu=1,
        mem_mb=8000,
        runtime=120,
    params:
        repro=stages.repro("predict-pretrained"),
    shell:
        "{params.repro} > {log} 2>&1"
