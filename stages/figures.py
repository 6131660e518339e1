"""Draw the zero-shot scores, the training curves, and a few records on ECG paper."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kmerl.archives.tables import STATEMENTS
from kmerl.artifacts import read_metadata, read_table, whole
from kmerl.evaluation.schemas import PREDICTIONS
from kmerl.evaluation.tables import published
from kmerl.knowledge.labels import TRACE, load_labels
from kmerl.plots import records
from kmerl.plots.examples import Example, example_figure
from kmerl.plots.scores import zeroshot_figure
from kmerl.plots.style import save
from kmerl.plots.training import training_figure
from kmerl.reports import REPORTS, STUDIES
from kmerl.training.history import HISTORY
from kmerl.waveforms import WaveformStore
from stages.tables import read_scores


def evaluated(params: Any, run: str) -> Iterator[Example]:
    """Records of the evaluated archive with the answers of ``run``."""
    path = Path("data/scores") / run / "predictions.parquet"
    metadata = read_metadata(path)
    archive, trained = metadata["archive"], metadata["trained_on"]
    statements = read_table(f"data/statements/{archive}.parquet", STATEMENTS)
    reports = {record: " ".join(pieces) for record, pieces in statements.iter_rows()}
    model = f"model {run}, pretrained on {trained['archive']} ({trained['origin']})"
    store, predictions = WaveformStore(Path("data/waveforms") / archive), read_table(path, PREDICTIONS)
    return records.evaluated(store, predictions, reports, model, params.figures, params.seed)


def pretraining(params: Any) -> Iterator[Example]:
    """Records of the pretraining archive with the entities mined from their reports."""
    vocabulary, labels = load_labels("data/labels")
    trace = read_table("data/labels/trace.parquet", TRACE)
    studies = dict(read_table("data/reports/studies.parquet", STUDIES).iter_rows())
    reports = dict(read_table("data/reports/reports.parquet", REPORTS).select("report_id", "text").iter_rows())
    store = WaveformStore(Path("data/waveforms") / params.pretraining_archive)
    return records.pretraining(store, vocabulary, labels, trace, studies, reports, params.figures, params.seed)


def main(params: Any) -> str:
    """Write ``results/figures/``."""
    names = list(params.runs)
    runs = read_scores(names)
    histories = {name: read_table(Path("data/runs") / name / "history.parquet", HISTORY) for name in names}
    trained = dict.fromkeys(f"{run.metadata['trained_on']['archive']} ({run.metadata['trained_on']['origin']})"
                            for run in runs)  # fmt: skip
    lead_counts = {name: len(leads) for name, leads in params.zeroshot.leads.items()}
    dpi, drawn = params.figures.dpi, 0
    with whole(Path("results/figures")) as folder:
        folder.mkdir()
        scores = zeroshot_figure(runs, published(), lead_counts, params.zeroshot.confidence)
        save(scores, folder / "zeroshot_auc", dpi)
        save(training_figure(histories, f"Pretraining on {', '.join(trained)}"), folder / "training", dpi)
        examples = {"ecg_example": evaluated(params, names[0]), "ecg_pretraining": pretraining(params)}
        for stem, several in examples.items():
            for number, example in enumerate(several, 1):
                save(example_figure(example), folder / f"{stem}_{number}", dpi)
                drawn += 1
    return f"scores of {len(runs)} runs over {len({*runs[0].scores['dataset']}) - 1} tasks, {drawn} ECGs"
