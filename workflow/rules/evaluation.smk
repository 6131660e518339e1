# Scores, tables and figures.


rule zeroshot:
    input:
        pipeline.inputs("zeroshot"),
    output:
        pipeline.outputs("zeroshot"),
    log:
        "logs/zeroshot@{item}.log",
    benchmark:
        "logs/zeroshot@{item}.tsv"
    threads: 2
    resources:
        mem_mb=3500,
        runtime=240,
    shell:
        "python -m workflow.run zeroshot@{wildcards.item} {log}"


rule tables:
    input:
        pipeline.inputs("tables"),
    output:
        pipeline.outputs("tables"),
    log:
        "logs/tables.log",
    benchmark:
        "logs/tables.tsv"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    shell:
        "python -m workflow.run tables {log}"


rule figures:
    input:
        pipeline.inputs("figures"),
    output:
        pipeline.outputs("figures"),
    log:
        "logs/figures.log",
    benchmark:
        "logs/figures.tsv"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    shell:
        "python -m workflow.run figures {log}"
