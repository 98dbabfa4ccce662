# Networks for other software, and the proof that they answer as torch does.


rule export_network:
    # On the processor, whatever the networks were trained on; mostly tracing and comparing, so several at a time.
    input:
        stages.inputs("export-network"),
    output:
        stages.outputs("export-network"),
    log:
        "logs/export-network/{key}.log",
    benchmark:
        "logs/export-network/{key}.benchmark.tsv"
    wildcard_constraints:
        key=stages.keys("export-network"),
    conda:
        "../../envs/bakeoff.yaml"
    threads: 1
    resources:
        mem_mb=8000,
        runtime=60,
    params:
        repro=stages.repro("export-network"),
    shell:
        "{params.repro} > {log} 2>&1"


use rule export_network as export_pretrained with:
    # Networks whose encoder started from published weights.
    input:
        stages.inputs("export-pretrained"),
    output:
        stages.outputs("export-pretrained"),
    log:
        "logs/export-pretrained/{key}.log",
    benchmark:
        "logs/export-pretrained/{key}.benchmark.tsv"
    wildcard_constraints:
        key=stages.keys("export-pretrained"),
    params:
        repro=stages.repro("export-pretrained"),


use rule export_network as export_classifier with:
    # Classifiers.
    input:
        stages.inputs("export-classifier"),
    output:
        stages.outputs("export-classifier"),
    log:
        "logs/export-classifier/{key}.log",
    benchmark:
        "logs/export-classifier/{key}.benchmark.tsv"
    wildcard_constraints:
        key=stages.keys("export-classifier"),
    params:
        repro=stages.repro("export-classifier"),


use rule export_network as export_on_input with:
    # Classifiers of pictures made from a data set's.
    input:
        stages.inputs("export-on-input"),
    output:
        stages.outputs("export-on-input"),
    log:
        "logs/export-on-input/{key}.log",
    benchmark:
        "logs/export-on-input/{key}.benchmark.tsv"
    wildcard_constraints:
        key=stages.keys("export-on-input"),
    params:
        repro=stages.repro("export-on-input"),
