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
