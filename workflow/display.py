"""What a run shows: each stage's own line (workflow/run.py) and Snakemake's count of steps."""

import logging

from snakemake_interface_logger_plugins.common import LogEvent

HIDDEN = {LogEvent.JOB_STARTED, LogEvent.JOB_FINISHED, LogEvent.RESOURCES_INFO}


def wanted(record: logging.LogRecord) -> bool:
    """Whether a line of Snakemake's is shown."""
    message = record.getMessage()
    return getattr(record, "event", None) not in HIDDEN and not message.startswith(("Select jobs", "Using shell"))


def shorten(logger: logging.Logger) -> None:
    """Leave out of the terminal what the stages' lines say already; log files and logger plugins get everything."""
    for handler in logger.handlers:
        if handler.name == "DefaultStreamHandler":
            handler.addFilter(wanted)
    logging.getLogger("dvc").setLevel(logging.WARNING)
