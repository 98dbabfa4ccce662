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
    threads: NETWORK_THREADS
    resources:
        gpu=NETWORK_GPUS,
        mem_mb=8000,
        runtime=120,
    params:
        repro=stages.repro("predict-network"),
    shell:
        "{params.repro} > {log} 2>&1"


use rule predict_network as predict_pretrained with:
    # Networks whose encoder started from published weights.
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
    params:
        repro=stages.repro("predict-pretrained"),


use rule predict_network as predict_classifier with:
    # Classifiers.
    input:
        stages.inputs("predict-classifier"),
    output:
        stages.outputs("predict-classifier"),
    log:
        "logs/predict-classifier/{key}.log",
    benchmark:
        "logs/predict-classifier/{key}.benchmark.tsv"
    wildcard_constraints:
        key=stages.keys("predict-classifier"),
    params:
        repro=stages.repro("predict-classifier"),


use rule predict_network as predict_on_input with:
    # Classifiers of pictures made from a data set's.
    input:
        stages.inputs("predict-on-input"),
    output:
        stages.outputs("predict-on-input"),
    log:
        "logs/predict-on-input/{key}.log",
    benchmark:
        "logs/predict-on-input/{key}.benchmark.tsv"
    wildcard_constraints:
        key=stages.keys("predict-on-input"),
    params:
        repro=stages.repro("predict-on-input"),


use rule predict_network as predicted with:
    # Pictures made with the masks that a network predicts.
    input:
        stages.inputs("predicted"),
    output:
        stages.outputs("predicted"),
    log:
        "logs/predicted/{key}.log",
    benchmark:
        "logs/predicted/{key}.benchmark.tsv"
    wildcard_constraints:
        key=stages.keys("predicted"),
    params:
        repro=stages.repro("predicted"),


rule predict_classical:
    # Classical methods want no GPU.
    input:
        stages.inputs("predict-classical"),
    output:
        stages.outputs("predict-classical"),
    log:
        "logs/predict-classical/{key}.log",
    benchmark:
        "logs/predict-classical/{key}.benchmark.tsv"
    wildcard_constraints:
        key=stages.keys("predict-classical"),
    conda:
        "../../envs/bakeoff.yaml"
    threads: 1 if SAMPLE else 2
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        repro=stages.repro("predict-classical"),
    shell:
        "{params.repro} > {log} 2>&1"
