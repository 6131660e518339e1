"""Draw the zero-shot scores, the training curves, and a few records on ECG paper."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from kmerl.archives.classes import class_names
from kmerl.artifacts import read_json, read_metadata, read_table, whole
from kmerl.errors import UserError
from kmerl.evaluation.schemas import PREDICTIONS
from kmerl.evaluation.tables import published
from kmerl.knowledge.labels import TRACE
from kmerl.leads import from_bit_mask
from kmerl.plots.examples import Answer, Example, choose, example_figure
from kmerl.plots.scores import zeroshot_figure
from kmerl.plots.style import save
from kmerl.plots.training import training_figure
from kmerl.reports import REPORTS, STATEMENTS, STUDIES
from kmerl.training.history import HISTORY
from kmerl.waveforms import WaveformStore
from stages.tables import read_scores


def evaluated(params: Any, run: str) -> Iterator[Example]:
    """Records of the evaluated archive with the answers of ``run``."""
    path = Path("data/scores") / run / "predictions.parquet"
    predictions, metadata = read_table(path, PREDICTIONS), read_metadata(path)
    archive = metadata["archive"]
    store = WaveformStore(Path("data/waveforms") / archive)
    reports = dict(read_table(f"data/statements/{archive}.parquet", STATEMENTS).iter_rows())
    true = predictions.filter("positive").select("record_id", "task", "code").unique(maintain_order=True)
    labels = {
        str(record): [class_names(task)[code] for _, task, code in rows.iter_rows()]
        for (record,), rows in true.group_by("record_id", maintain_order=True)
    }
    trained = metadata["trained_on"]
    for record in choose(labels, params.figures.examples, params.seed, archive):
        row = store.records["record_id"].index_of(record)
        assert row is not None
        yield Example(
            f"{archive} record {record}, {store.origin}",
            f"model {run}, pretrained on {trained['archive']} ({trained['origin']})" + flags(store, row),
            *waveform(store, row),
            texts={"Report": " ".join(reports.get(record, [])), "Labels": ", ".join(dict.fromkeys(labels[record]))},
            answers=answers(predictions.filter(pl.col("record_id") == record), params.figures),
        )


def answers(predictions: pl.DataFrame, figures: Any) -> list[Answer]:
    """The classes of highest probability under the first lead set; a name asked by two tasks is shown once."""
    first, result = figures.compare[0], dict[str, Answer]()
    best = predictions.filter(pl.col("leads") == first).sort("probability", descending=True, maintain_order=True)
    for row in best.iter_rows(named=True):
        name = class_names(row["task"])[row["code"]]
        if name not in result and len(result) < figures.answers:
            of_class = predictions.filter(pl.col("task") == row["task"], pl.col("code") == row["code"])
            probability = dict(of_class.select("leads", "probability").iter_rows())
            values = {leads: probability.get(leads, float("nan")) for leads in figures.compare}
            result[name] = Answer(name, values, row["positive"])
    return list(result.values())


def pretraining(params: Any) -> Iterator[Example]:
    """Records of the pretraining archive with the entities mined from their reports."""
    archive = params.pretraining_archive
    store = WaveformStore(Path("data/waveforms") / archive)
    vocabulary = read_json("data/labels/vocabulary.json")
    positives = read_table("data/labels/labels.parquet")
    mined = read_table("data/labels/trace.parquet", TRACE).filter(pl.col("query") == pl.col("via"))
    reports_of = dict(read_table("data/reports/studies.parquet", STUDIES).iter_rows())
    text = dict(read_table("data/reports/reports.parquet", REPORTS).select("report_id", "text").iter_rows())
    places = {record: row for row, record in enumerate(store.records["record_id"])}
    labels = {
        record: [vocabulary["queries"][i] for i in bits]
        for record, bits in positives.select("record_id", "positives").iter_rows()
        if record in places and bits
    }
    for record in choose(labels, params.figures.pretraining_examples, params.seed, archive):
        row, report = places[record], reports_of[record]
        named = mined.filter(pl.col("report_id") == report)["query"].to_list()
        entities = [name for name in labels[record] if name in named]
        groups = [name for name in labels[record] if name not in named]
        yield Example(
            f"{archive} record {record}, {store.origin}",
            f"pretraining data, split {store.records['split'][row]}" + flags(store, row),
            *waveform(store, row),
            texts={"Report": text[report]},
            lists={"Entities mined from the report": entities, "Superclasses set by them": groups},
        )


def waveform(store: WaveformStore, row: int) -> tuple[Any, tuple[str, ...], float]:
    """Signals in mV without padding, the leads in use, and the sampling rate."""
    leads = from_bit_mask(int(store.present[row]))
    length = int(store.records["length"][row])
    return store.read(row, leads)[:, :length], leads, store.fs


def flags(store: WaveformStore, row: int) -> str:
    """The quality flags of a record, as the end of a line."""
    found = store.records["flags"][row].to_list()
    return f"; quality flags: {', '.join(found)}" if found else ""


def main(params: Any) -> str:
    """Write ``results/figures/``."""
    names = list(params.runs)
    runs = read_scores(names)
    histories = {name: read_table(Path("data/runs") / name / "history.parquet", HISTORY) for name in names}
    trained = dict.fromkeys(f"{run.metadata['trained_on']['archive']} ({run.metadata['trained_on']['origin']})"
                            for run in runs)  # fmt: skip
    lead_counts = {name: len(leads) for name, leads in params.zeroshot.leads.items()}
    unknown = [name for name in params.figures.compare if name not in lead_counts]
    if unknown:
        raise UserError(f"figures.compare: {unknown[0]!r} is no lead set of zeroshot.leads; name one of these")
    dpi, drawn = params.figures.dpi, 0
    with whole(Path("results/figures")) as folder:
        folder.mkdir()
        scores = zeroshot_figure(runs, published(), lead_counts, params.zeroshot.confidence)
        save(scores, folder / "zeroshot_auc", dpi)
        save(training_figure(histories, f"Pretraining on {', '.join(trained)}"), folder / "training", dpi)
        for stem, examples in {
            "ecg_example": evaluated(params, names[0]),
            "ecg_pretraining": pretraining(params),
        }.items():
            for number, example in enumerate(examples, 1):
                save(example_figure(example), folder / f"{stem}_{number}", dpi)
                drawn += 1
    return f"scores of {len(runs)} runs over {len({*runs[0].scores['dataset']}) - 1} tasks, {drawn} ECGs"
