"""Write the tables of all evaluations, with the published ones beside ours."""

from pathlib import Path
from typing import Any

from kmerl.artifacts import for_spreadsheets, whole, write_json, write_table
from kmerl.documents import write_document
from kmerl.documents.markdown import markdown
from kmerl.evaluations.registry import rooms
from kmerl.tables.table import Table
from stages._scores import read_scores

DIGITS = 6  # in CSV files


def main(params: Any) -> str:
    """Write ``results/tables/``, ``results/metrics.json``, and ``data/tables/``, from which the page is made."""
    evaluations = rooms("tables")
    scores = read_scores(params)
    made: list[Table] = [one for name, room in evaluations.items() for one in room.tables(scores[name], params)]
    sections = [vars(section) for room in evaluations.values() for section in room.SECTIONS]
    with whole(Path("results/tables")) as folder, whole(Path("data/tables")) as data:
        folder.mkdir()
        for one in made:
            for_spreadsheets(one.frame).write_csv(folder / f"{one.caption.name}.csv", float_precision=DIGITS)
            (folder / f"{one.caption.name}.md").write_text(markdown(one.document), "utf-8")
            write_table(data / f"{one.caption.name}.parquet", one.frame, one.frame.to_arrow().schema)
            write_document(data / f"{one.caption.name}.json", one.document)
        write_json(data / "index.json", {"sections": sections, "tables": [vars(one.caption) for one in made]})
    measured = [room.metrics(scores[name]) for name, room in evaluations.items()]
    write_json("results/metrics.json", {key: value for one in measured for key, value in one.items()})
    counts = ", ".join(f"{len(runs)} of {name}" for name, runs in scores.items())
    return f"scores {counts}; {len(made)} tables of {sum(one.frame.height for one in made)} rows"
