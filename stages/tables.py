"""Write the tables of zero-shot scores."""

from pathlib import Path
from typing import Any

from kmerl.artifacts import read_metadata, read_table, whole, write_json
from kmerl.evaluation import tables
from kmerl.evaluation.schemas import SCORES
from kmerl.evaluation.tables import RunScores


def read_scores(names: list[str]) -> list[RunScores]:
    """The scores of the runs called ``names``."""
    paths = {name: Path("data/scores") / name / "scores.parquet" for name in names}
    return [RunScores(name, read_table(path, SCORES), read_metadata(path)) for name, path in paths.items()]


def main(params: Any) -> str:
    """Write ``results/tables/`` and ``results/metrics.json``."""
    runs = read_scores(list(params.runs))
    zeroshot = params.zeroshot
    macro, by_class = tables.tidy(runs), tables.tidy_by_class(runs)
    with whole(Path("results/tables")) as folder:
        folder.mkdir()
        macro.write_csv(folder / "zeroshot_auc.csv", float_precision=6)
        by_class.write_csv(folder / "zeroshot_auc_by_class.csv", float_precision=6)
        text = tables.markdown(runs, zeroshot.min_positives, zeroshot.confidence)
        (folder / "zeroshot_auc.md").write_text(text, "utf-8")
        text = tables.markdown_by_class(runs, zeroshot.confidence)
        (folder / "zeroshot_auc_by_class.md").write_text(text, "utf-8")
    write_json("results/metrics.json", tables.metrics(runs))
    undefined = by_class["value"].null_count()
    return f"{len(runs)} runs, {macro.height} averages, {by_class.height} class scores, {undefined} of them undefined"
