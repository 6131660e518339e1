"""Judge the mining of simulated reports against what the simulator knows that they say."""

from pathlib import Path
from typing import Any

from kmerl.archives.schemas import TRUTH
from kmerl.artifacts import for_spreadsheets, read_json, read_table, whole
from kmerl.documents.markdown import markdown
from kmerl.errors import UserError
from kmerl.knowledge.judging import truths
from kmerl.knowledge.schemas import STUDIES, VERIFIED
from kmerl.knowledge.vocabulary import load_labels
from kmerl.parts import parts_of, read_parts
from kmerl.tables.mining_quality import Judged, for_people, tidy
from stages._places import REPORTS, knowledge, labels

DIGITS = 6


def main(params: Any, item: str) -> str:
    """Write ``results/mining_quality/ITEM/``; ITEM is the archive whose reports were mined."""
    if item != params.pretraining_archive:
        raise UserError(f"knowledge.scored: the reports of {params.pretraining_archive} are mined, not those of {item}")
    studies = read_table(REPORTS / "studies.parquet", STUDIES)
    known = truths(read_table(Path(f"data/truth/{item}.parquet"), TRUTH), studies)
    verified = read_parts(knowledge() / "verify", "verified.parquet", VERIFIED)
    judged = Judged(verified, known, (*load_labels(labels()), studies))
    model = read_json(parts_of(knowledge() / "extract")[0] / "cost.json")["model"]
    with whole(Path("results/mining_quality") / item) as folder:
        folder.mkdir()
        for_spreadsheets(tidy(judged)).write_csv(folder / "quality.csv", float_precision=DIGITS)
        (folder / "quality.md").write_text(markdown(for_people(judged, model.partition("/")[0], item)), "utf-8")
    one = judged.verification
    return (
        f"{len(known)} reports; extraction P {judged.extraction.precision:.3f} R {judged.extraction.recall:.3f}; "
        f"verification removed {one.errors_removed} of {one.errors} errors and lost {one.right_lost} of {one.right}"
    )
