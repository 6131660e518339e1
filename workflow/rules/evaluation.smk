# Scores: zero-shot, with partial leads, linear probes.


rule zeroshot:
    input:
        pipeline.inputs("zeroshot"),
    output:
        pipeline.outputs("zeroshot"),
    log:
        "logs/zeroshot@{item}.log",
    benchmark:
        "logs/zeroshot@{item}.tsv"
    threads: 1
    resources:
        mem_mb=3500,
        runtime=240,
    shell:
        "python -m workflow.run zeroshot@{wildcards.item} {log}"


rule partial_leads:
    input:
        pipeline.inputs("partial_leads"),
    output:
        pipeline.outputs("partial_leads"),
    log:
        "logs/partial_leads@{item}.log",
    benchmark:
        "logs/partial_leads@{item}.tsv"
    threads: 1
    resources:
        mem_mb=3500,
        runtime=480,
    shell:
        "python -m workflow.run partial_leads@{wildcards.item} {log}"


rule embed_ecg:
    input:
        pipeline.inputs("embed_ecg"),
    output:
        pipeline.outputs("embed_ecg"),
    log:
        "logs/embed_ecg@{item}.log",
    benchmark:
        "logs/embed_ecg@{item}.tsv"
    threads: 1
    resources:
        mem_mb=3500,
        runtime=480,
    shell:
        "python -m workflow.run embed_ecg@{wildcards.item} {log}"


rule random_convolutions:
    input:
        pipeline.inputs("random_convolutions"),
    output:
        pipeline.outputs("random_convolutions"),
    log:
        "logs/random_convolutions.log",
    benchmark:
        "logs/random_convolutions.tsv"
    threads: 1
    resources:
        mem_mb=3500,
        runtime=480,
    shell:
        "python -m workflow.run random_convolutions {log}"


rule linear_probe:
    input:
        pipeline.inputs("linear_probe"),
    output:
        pipeline.outputs("linear_probe"),
    log:
        "logs/linear_probe@{item}.log",
    benchmark:
        "logs/linear_probe@{item}.tsv"
    threads: 1
    resources:
        mem_mb=3000,
        runtime=240,
    shell:
        "python -m workflow.run linear_probe@{wildcards.item} {log}"
