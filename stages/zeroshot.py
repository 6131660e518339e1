"""Ask a pretrained run for every downstream class by its plain name."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from kmerl.archives import classes
from kmerl.artifacts import read_table, whole, write_table
from kmerl.checkpoint import RunConfig, check_store, load_run
from kmerl.errors import UserError
from kmerl.evaluation.schemas import AVERAGE, MACRO, PREDICTIONS, SCORES
from kmerl.evaluation.zeroshot import predict, score
from kmerl.text.embeddings import Embeddings
from kmerl.text.encoder import TextEncoder
from kmerl.waveforms import WaveformStore

ARCHIVE = "ptb_xl"


def class_vectors(config: RunConfig, text_weights: dict[str, torch.Tensor]) -> Embeddings:
    """Vectors of the class names: the stored ones, or made by the run's own text encoder if it trained one."""
    stored = Embeddings.load(Path("data/embeddings/classes"))
    if text_weights:
        encoder = TextEncoder(config.text)
        encoder.load_state_dict(text_weights)
        return Embeddings(stored.texts, encoder.embed(stored.texts), config.text)
    if stored.params.encoder != config.text.encoder or stored.params.pooling != config.text.pooling:
        raise UserError("data/embeddings/classes: made by another text encoder than the run's; run embed_text again")
    return stored


def main(params: Any, item: str) -> str:
    """Write ``data/scores/<item>/``: predictions and scores."""
    torch.set_num_threads(params.zeroshot.threads)
    model, config, text_weights = load_run(Path("data/runs") / item)
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    vectors = class_vectors(config, text_weights)
    queries = {}
    for task in classes.tasks():
        names = classes.class_names(task)
        queries[task] = dict(zip(names, vectors[list(names.values())], strict=True))
    store = WaveformStore(Path("data/waveforms") / ARCHIVE)
    check_store(config, store)
    rows = np.flatnonzero(store.records["split"].is_in(params.zeroshot.splits).to_numpy()).tolist()
    if not rows:
        raise UserError(f"zeroshot.splits {params.zeroshot.splits}: {ARCHIVE} has no such record; name other splits")
    targets = read_table(f"data/targets/{ARCHIVE}.parquet")
    predictions = predict(model, store, rows, targets, queries, config.normalize, params.zeroshot)
    scores = score(predictions, item, ARCHIVE, params.zeroshot, params.seed)
    trained = {query.casefold() for query in config.vocabulary}
    seen = sorted({name for name in vectors.texts if name.casefold() in trained})
    origins = {"archive": ARCHIVE, "origin": store.origin, "trained_on": config.trained_on.model_dump()}
    metadata = origins | {"vocabulary_seen": seen}
    with whole(Path("data/scores") / item) as folder:
        write_table(folder / "predictions.parquet", predictions, PREDICTIONS, metadata)
        write_table(folder / "scores.parquet", scores, SCORES, metadata)
    average = scores.filter(dataset=AVERAGE, metric=MACRO)
    values = ", ".join(f"{row['leads']} {row['value']:.3f}" for row in average.iter_rows(named=True))
    return f"{len(rows)} records, {len(queries)} tasks; macro AUC, averaged: {values}"
