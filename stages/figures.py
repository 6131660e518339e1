"""Draw all scores, the training curves, and a few records on ECG paper."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import polars as pl
from matplotlib.figure import Figure

from kmerl.archives.schemas import STATEMENTS
from kmerl.artifacts import read_json, read_table, whole, write_json
from kmerl.documents import Caption
from kmerl.evaluations.registry import rooms
from kmerl.evaluations.zeroshot.schemas import PREDICTIONS
from kmerl.history import HISTORY
from kmerl.knowledge.schemas import REPORTS, STUDIES, TRACE
from kmerl.knowledge.vocabulary import load_labels
from kmerl.plots import records
from kmerl.plots.drawn import Drawn
from kmerl.plots.examples import Example, example_figure
from kmerl.plots.style import colours_of, save
from kmerl.plots.training import CAPTION, training_figure
from kmerl.results.scores import RunScores
from stages._scores import read_scores
from stages._stores import open_store


def evaluated(params: Any, run: RunScores) -> Iterator[Example]:
    """Records of every evaluated archive with the answers of ``run``, asked in its own way by plain names."""
    table = read_table(Path("data/scores/zeroshot") / run.name / "predictions.parquet", PREDICTIONS)
    asked = table.filter(pl.col("leads").is_in(params.figures.compare), way=run.way, names=run.names)
    trained = run.trained_on
    about = f"pretrained on {trained['archive']} ({trained['origin']})" if trained else "not pretrained"
    for archive, count in records.shares(params.figures.examples, params.evaluation.archives).items():
        statements = read_table(f"data/statements/{archive}.parquet", STATEMENTS)
        reports = {record: " ".join(pieces) for record, pieces in statements.iter_rows()}
        store, model = open_store(archive), f"model {run.name}, {about}"
        answered = asked.filter(archive=archive)
        yield from records.evaluated(store, answered, reports, model, count, params.figures, params.seed)


def pretraining(params: Any) -> Iterator[Example]:
    """Records of the pretraining archive with the entities mined from their reports."""
    vocabulary, labels = load_labels("data/labels")
    trace = read_table("data/labels/trace.parquet", TRACE)
    studies = dict(read_table("data/reports/studies.parquet", STUDIES).iter_rows())
    reports = dict(read_table("data/reports/reports.parquet", REPORTS).select("report_id", "text").iter_rows())
    store = open_store(params.pretraining_archive)
    return records.pretraining(store, vocabulary, labels, trace, studies, reports, params.figures, params.seed)


def training(params: Any, colours: dict[str, tuple[str, str]]) -> Figure:
    """The losses of all runs, and what they were pretrained on."""
    folders = {name: Path("data/runs") / name for name in params.runs}
    histories = {name: read_table(folder / "history.parquet", HISTORY) for name, folder in folders.items()}
    configs = [read_json(folder / "config.json") for folder in folders.values()]
    on = dict.fromkeys(f"{one['trained_on']['archive']} ({one['trained_on']['origin']} data)" for one in configs)
    curves = {name: title for one in configs for name, title in one["curves"].items()}
    return training_figure(histories, curves, f"Pretraining on {', '.join(on)}", colours)


def examples(params: Any, first: RunScores) -> Iterator[Drawn]:
    """Records on ECG paper."""
    for stem, title, text, several in (
        ("ecg_example", "Evaluated record", records.EVALUATED, evaluated(params, first)),
        ("ecg_pretraining", "Pretraining record", records.PRETRAINING, pretraining(params)),
    ):
        for number, one in enumerate(several, 1):
            figure = example_figure(one)
            yield Drawn(Caption(f"{stem}_{number}", "examples", f"{title} {number}", text, wide=True), figure)


def main(params: Any) -> str:
    """Write ``results/figures/``, and ``data/figures.json``: what stands under each of them on the page."""
    evaluations = rooms("figures")
    scores = read_scores(params)
    colours = colours_of([*(run.name for runs in scores.values() for run in runs), *params.runs])
    of_rooms = (one for name, room in evaluations.items() for one in room.figures(scores[name], params, colours))
    losses = Drawn(Caption("training", "training", "Losses and validation", CAPTION), training(params, colours))
    told = []
    with whole(Path("results/figures")) as folder:
        folder.mkdir()
        for one in chain(of_rooms, [losses], examples(params, scores["zeroshot"][0])):
            save(one.figure, folder / one.caption.name, params.figures.dpi)
            told.append(vars(one.caption))
    write_json("data/figures.json", told)
    drawn = sum(one["section"] == "examples" for one in told)
    return f"{len(told) - drawn} figures of {len(evaluations)} evaluations and of training, {drawn} ECGs"
