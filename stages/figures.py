"""Draw all scores, the training curves, and a few records on ECG paper."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
from matplotlib.figure import Figure

from kmerl.archives.schemas import STATEMENTS
from kmerl.artifacts import read_json, read_table, whole
from kmerl.evaluation.schemas import PREDICTIONS
from kmerl.history import HISTORY
from kmerl.knowledge.schemas import REPORTS, STUDIES, TRACE
from kmerl.knowledge.vocabulary import load_labels
from kmerl.plots import records
from kmerl.plots.examples import Example, example_figure
from kmerl.plots.partial import partial_figure
from kmerl.plots.probes import probes_figure
from kmerl.plots.queries import queries_figure
from kmerl.plots.scores import zeroshot_figure
from kmerl.plots.style import colours_of, save
from kmerl.plots.training import training_figure
from kmerl.results import published
from kmerl.results.scores import RunScores
from stages._scores import counts_of, read_scores
from stages._stores import open_store


def evaluated(params: Any, run: RunScores) -> Iterator[Example]:
    """Records of every evaluated archive with the answers of ``run``, asked in its own way by plain names."""
    table = read_table(Path("data/scores") / run.name / "predictions.parquet", PREDICTIONS)
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


def scores(
    params: Any,
    zeroshot: list[RunScores],
    partials: list[RunScores],
    features: list[RunScores],
    colours: dict[str, tuple[str, str]],
) -> Iterator[tuple[str, Figure]]:
    """The figures of scores by name."""
    sure, lead_counts = params.evaluation.confidence, counts_of(params, features)
    shown = {name: lead_counts[name] for name in params.zeroshot.leads}
    yield "zeroshot_auc", zeroshot_figure(zeroshot, published.zeroshot(), shown, sure, colours)
    yield "queries_auc", queries_figure(zeroshot, sure, colours)
    yield "partial_leads_auc", partial_figure(partials, published.zeroshot(), sure, colours)
    yield "linear_probe_auc", probes_figure(features, published.probes(), lead_counts, sure, colours)


def main(params: Any) -> str:
    """Write ``results/figures/``."""
    zeroshot, partials, features = read_scores(params)
    colours = colours_of([*(run.name for run in [*zeroshot, *partials, *features]), *params.runs])
    dpi, drawn = params.figures.dpi, 0
    with whole(Path("results/figures")) as folder:
        folder.mkdir()
        save(training(params, colours), folder / "training", dpi)
        for name, figure in scores(params, zeroshot, partials, features, colours):
            save(figure, folder / name, dpi)
        examples = {"ecg_example": evaluated(params, zeroshot[0]), "ecg_pretraining": pretraining(params)}
        for stem, several in examples.items():
            for number, example in enumerate(several, 1):
                save(example_figure(example), folder / f"{stem}_{number}", dpi)
                drawn += 1
    return f"scores of {len(zeroshot)} runs over {len(zeroshot[0].tasks)} tasks, {drawn} ECGs"
