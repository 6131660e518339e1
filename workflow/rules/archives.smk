# From archives to waveforms and statements.


rule simulate:
    input:
        pipeline.inputs("simulate"),
    output:
        pipeline.outputs("simulate"),
    log:
        "logs/simulate@{item}.log",
    benchmark:
        "logs/simulate@{item}.tsv"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=30,
    shell:
        "python -m workflow.run simulate@{wildcards.item} {log}"


rule register:
    input:
        pipeline.inputs("register"),
    output:
        pipeline.outputs("register"),
    log:
        "logs/register@{item}.log",
    benchmark:
        "logs/register@{item}.tsv"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=120,
    shell:
        "python -m workflow.run register@{wildcards.item} {log}"


rule preprocess:
    input:
        pipeline.inputs("preprocess"),
    output:
        pipeline.outputs("preprocess"),
    log:
        "logs/preprocess@{item}.log",
    benchmark:
        "logs/preprocess@{item}.tsv"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=720,
    shell:
        "python -m workflow.run preprocess@{wildcards.item} {log}"
