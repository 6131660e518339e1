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


rule fetch:
    input:
        pipeline.inputs("fetch"),
    output:
        pipeline.outputs("fetch"),
    log:
        "logs/fetch@{item}.log",
    benchmark:
        "logs/fetch@{item}.tsv"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=7200,
    shell:
        "python -m workflow.run fetch@{wildcards.item} {log}"


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


rule catalogue:
    input:
        pipeline.inputs("catalogue"),
    output:
        pipeline.outputs("catalogue"),
    log:
        "logs/catalogue@{item}.log",
    benchmark:
        "logs/catalogue@{item}.tsv"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=120,
    shell:
        "python -m workflow.run catalogue@{wildcards.item} {log}"


# as many processes as threads read side by side; the parts of an archive are jobs of their own, for other nodes
rule preprocess:
    input:
        pipeline.inputs("preprocess"),
    output:
        pipeline.outputs("preprocess"),
    log:
        "logs/preprocess@{archive}-{part}.log",
    benchmark:
        "logs/preprocess@{archive}-{part}.tsv"
    threads: at_most(8)
    resources:
        mem_mb=4000,
        runtime=720,
    shell:
        "python -m workflow.run preprocess@{wildcards.archive}-{wildcards.part} {log} {threads}"
