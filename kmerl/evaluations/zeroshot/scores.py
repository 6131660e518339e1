"""Zero-shot scores as tables and figures read them."""

from kmerl.results.scores import RunScores


def seen_codes(run: RunScores) -> set[tuple[str, str]]:
    """(task, code) of the classes that the run was trained to know by their plain names."""
    return {*run.tables["seen"].filter("seen").select("task", "code").iter_rows()}
