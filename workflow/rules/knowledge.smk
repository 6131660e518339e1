# From statements to one label vector per record (paper section 2.4).


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


rule extract:
    input:
        pipeline.inputs("extract"),
    output:
        pipeline.outputs("extract"),
    log:
        "logs/extract.log",
    benchmark:
        "logs/extract.tsv"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=1440,
    shell:
        "python -m workflow.run extract {log}"


rule verify:
    input:
        pipeline.inputs("verify"),
    output:
        pipeline.outputs("verify"),
    log:
        "logs/verify.log",
    benchmark:
        "logs/verify.tsv"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=1440,
    shell:
        "python -m workflow.run verify {log}"


rule merge:
    input:
        pipeline.inputs("merge"),
    output:
        pipeline.outputs("merge"),
    log:
        "logs/merge.log",
    benchmark:
        "logs/merge.tsv"
    threads: 1
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
    threads: 1
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
