# Text embeddings and pretraining (paper sections 2.2, 2.3, 2.5).


rule embed_text:
    input:
        pipeline.inputs("embed_text"),
    output:
        pipeline.outputs("embed_text"),
    log:
        "logs/embed_text@{item}.log",
    benchmark:
        "logs/embed_text@{item}.tsv"
    threads: 1
    resources:
        mem_mb=3000,
        runtime=240,
    shell:
        "python -m workflow.run embed_text@{wildcards.item} {log}"


rule pretrain:
    input:
        pipeline.inputs("pretrain"),
    output:
        pipeline.outputs("pretrain"),
    log:
        "logs/pretrain@{item}.log",
    benchmark:
        "logs/pretrain@{item}.tsv"
    threads: 1
    resources:
        mem_mb=3500,
        runtime=1440,
    shell:
        "python -m workflow.run pretrain@{wildcards.item} {log}"
