# Table of contents. What each stage does, reads and writes stands in dvc.yaml; here and in workflow/ stands how the
# stages are scheduled.
#
#   snakemake --cores all              make whatever is not up to date
#   snakemake -n                       say what that is
#   snakemake --cores all data/labels  make one thing and what it needs
#   snakemake --report report.zip      Snakemake's own report of what ran; it needs no network
from snakemake.utils import min_version

min_version("9.27")


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"


# must stand here: Snakemake takes no default target from an included file
rule all:
    input:
        pipeline.results(),


include: "workflow/rules/archives.smk"
include: "workflow/rules/knowledge.smk"
include: "workflow/rules/model.smk"
include: "workflow/rules/evaluation.smk"
include: "workflow/rules/results.smk"
