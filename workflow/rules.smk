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
from workflow.gpus import present
from workflow.display import shorten
from workflow.needs import asked, resources
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


def limit_of_gpus():
    """The GPUs of a node: what the command or the profile says, else those of this one, if it is the one that computes."""
    if "gpu" in workflow.global_resources:
        return workflow.global_resources["gpu"].value
    found = present() if workflow.local_exec or not workflow.is_main_process else []
    if found and workflow.is_main_process:
        workflow.register_resource("gpu", len(found))
    return len(found)


gpus = limit_of_gpus()
# a scheduler of a cluster gives its jobs their cards; here that is ours to do
given_by_us = workflow.is_main_process and workflow.local_exec


def threads_of(stage):
    """At most what a node can give, taken to be one like this one: a job that asks for more waits for ever."""
    most = processors()

    def threads(wildcards):
        wanted = asked(needs[stage], checked, wildcards).threads
        return min(wanted, most) if wanted else workflow.cores or min(8, most)

    return threads


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
            **resources(needs[stage], checked, pipeline.items(stage), gpus),
        params:
            stage=pattern,
            gpus=lambda wildcards, resources: (
                resources.get("gpu", 0) if given_by_us else 0
            ),
        shell:
            "exec python -m workflow.run {params.stage} {log} {threads} {params.gpus}"  # a signal reaches it, not a shell
