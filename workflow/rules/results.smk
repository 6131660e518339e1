# What people look at: tables, figures, the report page. `snakemake --report FILE.zip` shows them, too.


def shown(rule, path, **how):
    """The outputs of a rule, one of which `snakemake --report` shows."""
    outputs = pipeline.outputs(rule)
    # a line that began with "report" would be taken for Snakemake's keyword
    return [one if one != path else report(one, **how) for one in outputs]


rule mining:
    input:
        pipeline.inputs("mining"),
    output:
        shown(
            "mining",
            "results/knowledge",
            patterns=["{name}.csv", "{name}.png"],
            caption="../report/mining.rst",
            category="Mining of the reports",
            labels={"what": "{name}"},
        ),
    log:
        "logs/mining.log",
    benchmark:
        "logs/mining.tsv"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    shell:
        "python -m workflow.run mining {log}"


rule mining_quality:
    input:
        pipeline.inputs("mining_quality"),
    output:
        shown(
            "mining_quality",
            "results/mining_quality/{item}",
            patterns=["{name}.csv"],
            caption="../report/mining_quality.rst",
            category="Mining of the reports",
            labels={"what": "{name} on simulated reports of {item}"},
        ),
    log:
        "logs/mining_quality@{item}.log",
    benchmark:
        "logs/mining_quality@{item}.tsv"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    shell:
        "python -m workflow.run mining_quality@{wildcards.item} {log}"


rule tables:
    input:
        pipeline.inputs("tables"),
    output:
        shown(
            "tables",
            "results/tables",
            patterns=["{name}.csv"],
            caption="../report/tables.rst",
            category="Tables",
            labels={"table": "{name}"},
        ),
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
        shown(
            "figures",
            "results/figures",
            patterns=["{name}.png"],
            caption="../report/figures.rst",
            category="Figures",
            labels={"figure": "{name}"},
        ),
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


rule quality:
    input:
        pipeline.inputs("quality"),
    output:
        shown(
            "quality",
            "results/quality.html",
            caption="../report/quality.rst",
            category="Page",
            labels={"page": "what was found in the recordings"},
        ),
    log:
        "logs/quality.log",
    benchmark:
        "logs/quality.tsv"
    threads: 1
    resources:
        mem_mb=3500,
        runtime=60,
    shell:
        "python -m workflow.run quality {log}"


rule report:
    input:
        pipeline.inputs("report"),
    output:
        shown(
            "report",
            "results/report.html",
            caption="../report/page.rst",
            category="Page",
            labels={"page": "everything on one page"},
        ),
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
