# What each stage does, reads and writes stands in dvc.yaml, in the order in which they depend on one another; how they
# are scheduled stands in workflow/.
#
#   snakemake --cores all              make whatever is not up to date
#   snakemake -n                       say what that is
#   snakemake --cores all data/labels/base  make one thing and what it needs
#   snakemake --report report.zip      Snakemake's own report of what ran; it needs no network
from snakemake.utils import min_version

min_version("9.27")


report: "workflow/report/workflow.rst"


include: "workflow/rules.smk"


# must stand here: Snakemake takes no default target from an included file
rule all:
    input:
        pipeline.results(),
