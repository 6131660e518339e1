# From statements to one label vector per record (paper section 2.4).

# vLLM takes all GPUs of a node, so nothing else runs beside it there
all_threads = workflow.cores or at_most(8)
mining_threads = all_threads if checked.knowledge.engine.name == "vllm" else 1


rule reports:
    input:
        pipeline.inputs("reports"),
    output:
        pipeline.outputs("reports"),
    log:
        "logs/reports.log",
    benchmark:
        "logs/reports.tsv"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    shell:
        "python -m workflow.run reports {log}"


# the parts of the reports are jobs of their own; with vLLM each is one engine, on all GPUs of a node (profiles/slurm)
rule extract:
    input:
        pipeline.inputs("extract"),
    output:
        pipeline.outputs("extract"),
    log:
        "logs/extract@{item}.log",
    benchmark:
        "logs/extract@{item}.tsv"
    threads: mining_threads
    resources:
        mem_mb=4000,
        runtime=1440,
    shell:
        "python -m workflow.run extract@{wildcards.item} {log}"


rule verify:
    input:
        pipeline.inputs("verify"),
    output:
        pipeline.outputs("verify"),
    log:
        "logs/verify@{item}.log",
    benchmark:
        "logs/verify@{item}.tsv"
    threads: mining_threads
    resources:
        mem_mb=4000,
        runtime=1440,
    shell:
        "python -m workflow.run verify@{wildcards.item} {log}"


rule merge:
    input:
        pipeline.inputs("merge"),
    output:
        pipeline.outputs("merge"),
    log:
        "logs/merge.log",
    benchmark:
        "logs/merge.tsv"
    threads: mining_threads
    resources:
        mem_mb=2000,
        runtime=240,
    shell:
        "python -m workflow.run merge {log}"


rule superclass:
    input:
        pipeline.inputs("superclass"),
    output:
        pipeline.outputs("superclass"),
    log:
        "logs/superclass.log",
    benchmark:
        "logs/superclass.tsv"
    threads: mining_threads
    resources:
        mem_mb=2000,
        runtime=240,
    shell:
        "python -m workflow.run superclass {log}"


rule labels:
    input:
        pipeline.inputs("labels"),
    output:
        pipeline.outputs("labels"),
    log:
        "logs/labels.log",
    benchmark:
        "logs/labels.tsv"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    shell:
        "python -m workflow.run labels {log}"
