# What people look at: tables, figures, the report page.


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
        mem_mb=2000,
        runtime=30,
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
        mem_mb=2500,
        runtime=60,
    shell:
        "python -m workflow.run figures {log}"


rule report:
    input:
        pipeline.inputs("report"),
    output:
        pipeline.outputs("report"),
    log:
        "logs/report.log",
    benchmark:
        "logs/report.tsv"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    shell:
        "python -m workflow.run report {log}"
