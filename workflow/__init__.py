"""How the pipeline is run: the bridge between Snakemake and DVC, code fingerprints, parameter profiles."""
