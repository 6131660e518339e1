# One rule for each stage of dvc.yaml, which says what it reads, writes and runs; what it asks a node for stands in
# rules.yaml. A mistake in the parameters or a missing input ends here.
import re
import sys
from collections import defaultdict
from pathlib import Path

import yaml
from snakemake.logging import logger

sys.path.insert(0, str(Path.cwd()))
from kmerl.errors import UserError
from kmerl.params import load
from kmerl.processors import processors

from workflow.bridge import Pipeline
from workflow.display import shorten
from workflow.plan import refresh

shorten(logger)
try:
    checked = load(Path("params.yaml"))
    if workflow.is_main_process:
        refresh(checked)
    pipeline = Pipeline(ask=workflow.is_main_process)
except UserError as error:
    raise SystemExit(str(error))
needs = defaultdict(
    dict, yaml.safe_load(Path("workflow/rules.yaml").read_text("utf-8"))
)


def threads_of(stage):
    """At most what a node can give, taken to be one like this one: a job that asks for more waits for ever."""
    most = processors()
    if needs[stage].get("asks") and checked.knowledge.engine.name == "vllm":
        return workflow.cores or min(8, most)
    return min(needs[stage].get("threads", 1), most)


def outputs_of(stage):
    """With what `snakemake --report` shows marked."""
    shown = dict(needs[stage].get("shown", {}))
    path = shown.pop("path", None)
    caption = f"report/{stage}.rst"
    plain = lambda output: re.sub(
        r"\{(\w+),[^}]*\}", r"{\1}", output
    )  # without what a wildcard may be
    # a line that began with "report" would be taken for Snakemake's keyword
    return [
        one if plain(one) != path else report(one, caption=caption, **shown)
        for one in pipeline.outputs(stage)
    ]


wildcard_constraints:
    item=r"[A-Za-z0-9_-]+",
    archive=r"[A-Za-z0-9_]+",
    variant=r"[A-Za-z0-9_]+",
    part=r"[A-Za-z0-9_]+",


for stage, pattern in pipeline.patterns().items():

    rule:
        name:
            stage
        input:
            pipeline.inputs(stage),
        output:
            outputs_of(stage),
        log:
            f"logs/{pattern}.log",
        benchmark:
            f"logs/{pattern}.tsv"
        priority: pipeline.priority(stage)
        threads: threads_of(stage)
        resources:
            mem_mb=needs[stage].get("mem_mb", 2000),
            runtime=needs[stage].get("runtime", 60),
        params:
            stage=pattern,
        shell:
            "python -m workflow.run {params.stage} {log} {threads}"
