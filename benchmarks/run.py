"""``make bench``: our way against the reference way of the same work, in one process, on data made on the spot.

Prints a table of ratios and writes it to ``results/benchmarks.md`` (not part of the pipeline: times depend on the
machine). Every pair is checked to give the same answer before it is timed. Each figure is the median of paired runs.
"""

import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import archives  # beside this file
import loading
import mining
import numpy as np
import torch
import wfdb
from sklearn.metrics import roc_auc_score

from kmerl.archives.wfdb_reader import read_recording
from kmerl.artifacts import whole
from kmerl.evaluation.bootstrap import bootstrap_auc, resample
from kmerl.evaluations.linear_probe import LinearProbeParams
from kmerl.evaluations.linear_probe.probe import fit_paper
from kmerl.leads import LEADS
from kmerl.model.encoder import EcgEncoder
from kmerl.model.params import EncoderParams
from kmerl.randomness import generator

THREADS = 2
REPEATS = 7


@dataclass(frozen=True)
class Pair:
    """One comparison: what is done, how the reference does it, and both as functions that return the answer."""

    work: str
    reference: str
    ours: Callable[[], object]
    theirs: Callable[[], object]


def records(folder: Path, n: int = 40) -> list[Path]:
    """WFDB records of 12 leads and 10 s at 500 Hz, format 16."""
    paths = []
    for i in range(n):
        signal = generator(0, "bench", i).normal(size=(5000, 12))
        wfdb.wrsamp(f"r{i}", 500, ["mV"] * 12, list(LEADS), signal, fmt=["16"] * 12, write_dir=str(folder))
        paths.append(folder / f"r{i}.hea")
    return paths


def reading(folder: Path) -> Pair:
    """Raw records to millivolts, lead-major."""
    paths = records(folder)

    def ours() -> list[object]:
        return [read_recording(path).millivolts() for path in paths]

    def theirs() -> list[object]:
        return [wfdb.rdrecord(str(path.with_suffix(""))).p_signal.T.astype(np.float32) for path in paths]

    assert all(np.allclose(a, b, atol=1e-5) for a, b in zip(ours(), theirs(), strict=True))
    return Pair("read 40 WFDB records (format 16, 12 leads, 10 s)", "wfdb.rdrecord", ours, theirs)


def batches(folder: Path) -> list[Pair]:
    """Batches of pretraining, made from the memory maps."""
    store = loading.store(folder / "waveforms")
    return [
        Pair(
            f"make {len(loading.STEPS)} batches of {size} for {title}, on one core",
            "record by record",
            *loading.pair(store, method, size),
        )
        for method, title in (("kmerl", "K-MERL"), ("merl", "MERL, 12 leads"))
        for size in (16, 64)
    ]


def encoding(folder: Path) -> Pair:
    """One training step's encoding: only the visible tokens, or all of them with the hidden ones masked out."""
    shape = {"width": 128, "depth": 4, "heads": 4}
    params = EncoderParams.model_validate(
        {
            "kind": "vit", "pooling": "mean", "shape": shape, "resnet_width": 64, "feed_forward_ratio": 4, "dropout": 0,
            "lead_embedding": True, "time_embedding": True,
        }
    )  # fmt: skip
    torch.manual_seed(0)
    encoder = EcgEncoder(params, 100, 50)
    store = loading.store(folder / "encoded", 16)
    some, full = (loading.batches(store, method, 16) for method in ("kmerl", "merl"))
    (shown,) = some.method.show(some.records(some.members(0), 0))
    (reading,), (whole_reading,) = some[0].readings, full[0].readings
    groups, order = reading.cut(loading.CPU), reading.order
    (everything,) = whole_reading.cut(loading.CPU)
    mask = torch.from_numpy(shown.tokens.reshape(16, -1))

    def ours() -> torch.Tensor:
        encoder.zero_grad()
        pooled = torch.cat([features.mean(1) for features in encoder(groups)])
        pooled.square().sum().backward()
        return pooled.detach()

    def theirs() -> torch.Tensor:
        encoder.zero_grad()
        x = (
            encoder.project(everything[0])
            + encoder.lead_embedding(everything[1])
            + encoder.time_embedding(everything[2])
        )
        bias = torch.zeros(16, 1, 1, 600).masked_fill(~mask[:, None, None, :], float("-inf"))
        for block in encoder.blocks:
            attention, normed = block.attention, block.norm_attention(x)
            parts = (attention.to_query(normed), *attention.to_key_value(normed).chunk(2, -1))
            query, key, value = (part.unflatten(-1, (attention.heads, -1)).transpose(-2, -3) for part in parts)
            mixed = torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=bias)
            x = x + attention.to_out(mixed.transpose(-2, -3).flatten(-2))
            x = x + block.feed_forward(block.norm_feed_forward(x))
        pooled = (encoder.norm(x) * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        pooled.square().sum().backward()
        return pooled.detach()

    assert torch.allclose(ours(), theirs()[order], atol=1e-4)
    return Pair("encode a batch of 16, forward and backward", "all 600 tokens under an attention mask", ours, theirs)


def intervals() -> Pair:
    """Bootstrap AUC of 20 classes on 300 records, 50 resamples."""
    rng = generator(0, "intervals")
    scores, labels = rng.random((300, 20)), rng.random((300, 20)) < 0.2
    weights = resample(np.arange(300).astype(str), 50, rng)

    def theirs() -> np.ndarray:
        rows = [np.repeat(np.arange(300), weight.astype(int)) for weight in weights]
        return np.array([[roc_auc_score(labels[r, c], scores[r, c]) for c in range(20)] for r in rows])

    assert np.allclose(bootstrap_auc(scores, labels, weights), theirs())
    return Pair(
        "bootstrap the AUC of 20 classes (300 records, 50 resamples)",
        "scikit-learn's roc_auc_score in a loop",
        lambda: bootstrap_auc(scores, labels, weights),
        theirs,
    )


def probing() -> Pair:
    """Linear probes of 20 classes on 200 records, 5 epochs: one layer of 20 heads, or a layer per class."""
    rng = generator(0, "probing")
    inputs = torch.from_numpy(np.c_[rng.normal(size=(200, 96)), np.ones(200)].astype(np.float32))
    labels = torch.from_numpy(rng.random((200, 20)) < 0.3).float()
    params = LinearProbeParams.model_validate(
        {
            "features": ["a"], "kinds": ["paper"], "shares": [1.0], "draws": 1, "select": "last",
            "learning_rate": 1e-3, "weight_decay": 1e-5, "batch": 16, "epochs": 5, "warmup_steps": 5,
            "logistic_c": [1.0], "threads": THREADS,
        }
    )  # fmt: skip

    def ours() -> torch.Tensor:
        return fit_paper(inputs, labels, params, generator(1), None)

    def alone(c: int) -> torch.Tensor:
        head, order = torch.nn.Linear(97, 1, bias=False), generator(1)
        torch.nn.init.zeros_(head.weight)
        optimizer = torch.optim.AdamW(head.parameters(), params.learning_rate, weight_decay=params.weight_decay)
        warm_up = torch.optim.lr_scheduler.LinearLR(optimizer, 1 / 5, 1, 4)
        cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 5 * 13 - 5)
        schedule = torch.optim.lr_scheduler.SequentialLR(optimizer, [warm_up, cosine], [5])
        for _ in range(params.epochs):
            for chosen in torch.from_numpy(order.permutation(200)).split(params.batch):
                optimizer.zero_grad()
                answer = head(inputs[chosen])
                torch.nn.functional.binary_cross_entropy_with_logits(answer, labels[chosen, c : c + 1]).backward()
                optimizer.step()
                schedule.step()
        return head.weight.detach().T

    def theirs() -> torch.Tensor:
        return torch.cat([alone(c) for c in range(20)], 1)

    assert torch.allclose(ours(), theirs(), atol=1e-3)
    return Pair("train the linear probes of 20 classes (200 records, 5 epochs)", "a layer per class", ours, theirs)


def seconds(call: Callable[[], object]) -> float:
    """How long one call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def rows(pairs: list[Pair]) -> Iterator[str]:
    """One table row per pair: both medians, and the median of the paired ratios."""
    for pair in pairs:
        runs = [(seconds(pair.ours), seconds(pair.theirs)) for _ in range(REPEATS)]
        ours, theirs = (statistics.median(column) * 1000 for column in zip(*runs, strict=True))
        ratio = statistics.median(b / a for a, b in runs)
        yield f"| {pair.work} | {pair.reference} | {ours:.1f} ms | {theirs:.1f} ms | {ratio:.1f} x |"


def main() -> None:
    """Run all comparisons and write the table."""
    torch.set_num_threads(THREADS)
    with tempfile.TemporaryDirectory() as folder:
        at = Path(folder)
        table = [
            "| work | reference | ours | reference's | faster by |",
            "|---|---|---|---|---|",
            *rows([reading(at), *batches(at), encoding(at), intervals(), probing()]),
        ]
    note = f"Medians of {REPEATS} paired runs, {THREADS} threads, {platform.machine()}; made by `make bench`."
    text = "\n".join(
        [
            *table,
            "",
            note,
            "",
            "## Reading archives",
            "",
            archives.table(),
            "",
            "## Mining reports",
            "",
            mining.table(),
            "",
        ]
    )
    with whole("results/benchmarks.md") as temporary:
        temporary.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
