"""What is measured: the paper's model on simulated records, and how much of it there is time for."""

import platform
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
import yaml

from kmerl import methods
from kmerl.leads import LEADS, bit_mask
from kmerl.model.network import Network
from kmerl.randomness import generator
from kmerl.shards import Waveform, store_writer
from kmerl.training.batches import Batches, Examples
from kmerl.training.params import PretrainParams
from kmerl.training.recipe import Recipe, recipe
from kmerl.training.text_vectors import Texts
from kmerl.waveforms import WaveformStore

ROOT = Path(__file__).parents[2]
SCALE = np.float32(0.001)  # mV


@dataclass(frozen=True)
class Size:
    """How much is computed.

    Attributes:
        records: of the simulated store, a quarter of which validate.
        batch: records in a step.
        batches: that are made ahead and shown in turn while steps are timed.
        timed: steps behind one time; as many fewer as it takes to stay within ``seconds``.
        seconds: longest time for one figure.
        curve: steps of a loss curve.
        curve_batch: records in a step of it.
        resumed: steps of the run that is killed half-way.
        queries, reports, text_width: of the texts.
        memory: batches whose memory is measured.
        matmul: side of the square matrices whose product gives the card's rate.
    """

    records: int = 4096
    batch: int = 512
    batches: int = 4
    timed: int = 40
    seconds: float = 8.0
    curve: int = 200
    curve_batch: int = 128
    resumed: int = 24
    queries: int = 277
    reports: int = 512
    text_width: int = 768
    memory: tuple[int, ...] = (128, 512, 1024)
    matmul: int = 8192


TINY = Size(
    records=96, batch=8, batches=2, timed=3, seconds=0.5, curve=12, curve_batch=8, resumed=8, queries=5, reports=9,
    text_width=8, memory=(4, 8), matmul=256,
)  # fmt: skip
"""For trying out on a CPU that all of it runs."""
TINY_MODEL: dict[str, Any] = {
    "encoder": {"shape": {"width": 16, "depth": 2, "heads": 2}},
    "query": {"width": 8, "depth": 2, "heads": 2, "head_dim": 4, "feed_forward": 16},
}


class _Profile(yaml.SafeLoader):
    """A profile, whose marks of what is replaced do not matter here."""


_Profile.add_constructor("!replace", lambda loader, node: loader.construct_mapping(node, deep=True))


@dataclass
class Setting:
    """One run of the benchmark.

    Attributes:
        device: where it computes.
        size: how much.
        folder: for the store and for checkpoints.
        end: when time is up, by the monotonic clock.
        matmul_rate: FLOP/s of bfloat16 products, once measured.
        curves: losses by precision, once trained.
        model: the last one that was trained for a curve.
    """

    device: torch.device
    size: Size
    folder: Path
    end: float
    matmul_rate: float | None = None
    curves: dict[str, list[float]] = field(default_factory=dict)
    model: Network | None = None

    @property
    def cuda(self) -> bool:
        """Whether it is a GPU of NVIDIA's."""
        return self.device.type == "cuda"

    @property
    def left(self) -> float:
        """Seconds until time is up."""
        return self.end - time.monotonic()

    def wait(self) -> None:
        """Until the device has done all that it was given."""
        if self.cuda:
            torch.cuda.synchronize()

    def recipe(self, loop: Mapping[str, Any] | None = None) -> Recipe:
        """K-MERL as the paper pretrains it, with a loop of one process and no readers, and changes to the loop."""
        base, paper = (_read(name) for name in ("params.yaml", "params/paper.yaml"))
        own = {"batch": self.size.batch, "processes": 1, "workers": 0, "threads": torch.get_num_threads()}
        tiny = self.size is TINY
        shared = _merged(paper["pretrain"], {"loop": own | dict(loop or {})})
        options = paper["methods"]["kmerl"]
        if tiny:
            shared = _merged(shared, {"model": {"encoder": TINY_MODEL["encoder"]}})
            options = _merged(options, {"query": TINY_MODEL["query"], "projector": {"hidden": 16, "width": 8}})
        section = methods.load("kmerl").section
        return recipe(
            "kmerl", PretrainParams.model_validate(base["pretrain"]),
            section.model_validate(base["methods"]["kmerl"]), shared, options,
        )  # fmt: skip

    def network(self, run: Recipe) -> Network:
        """Freshly made, the same each time."""
        torch.manual_seed(1)
        return Network(run.params.model, run.method, self.size.text_width, self.store.samples).to(self.device)

    @cached_property
    def store(self) -> WaveformStore:
        """Simulated records of twelve leads and 10 s at 500 Hz: beats, whose rate and height the labels tell."""
        folder, n = self.folder / "store", self.size.records
        if not folder.exists():
            with store_writer(folder, "gpu_benchmark", "simulated", 500, 5000, shard_records=512) as writer:
                for i in range(n):
                    writer.append(_waveform(i), f"r{i}", f"p{i}")
        splits = pl.DataFrame({"record_id": [f"r{i}" for i in range(n)], "split": ["train"] * n})
        return WaveformStore(folder, splits)

    @cached_property
    def examples(self) -> tuple[Examples, Examples]:
        """To learn from, and to validate on."""
        rows, size = np.arange(self.size.records), self.size
        own = generator(1, "labels").random((size.records, size.queries)) < 0.05
        own[:, 0], own[:, 1] = rows % 2, rows // 2 % 2
        labels, reports = own.astype(np.uint8), rows % size.reports // 4 * 4 % size.reports + rows % 4
        everyone = Examples(rows, np.minimum(reports, size.reports - 1), labels)
        cut = size.records * 3 // 4
        return tuple(Examples(everyone.rows[p], everyone.reports[p], labels[p]) for p in (rows[:cut], rows[cut:]))

    def texts(self) -> Texts:
        """Vectors of reports and queries."""
        size, rng = self.size, generator(1, "texts")
        return Texts(*(rng.normal(size=(n, size.text_width)).astype(np.float32) for n in (size.reports, size.queries)))

    def batches(self, run: Recipe, batch: int | None = None, rank: int = 0, processes: int = 1) -> Batches:
        """The batches of a run."""
        params = run.params
        return Batches(
            self.store, self.examples[0], run.method, params.model.tokens, params.normalize,
            batch or params.loop.batch, 1, rank, processes,
        )  # fmt: skip


def _waveform(i: int) -> Waveform:
    """Record i: a train of narrow beats, in each lead of another height, and noise."""
    rng = generator(1, "waveform", i)
    phase = np.arange(5000) / 500 * (1.0 + 0.8 * (i % 2)) + rng.random()
    beats = np.exp(-0.5 * ((phase % 1 - 0.5) / 0.03) ** 2) * (400 + 600 * (i // 2 % 2))
    samples = (np.outer(np.linspace(0.4, 1.2, len(LEADS)), beats) + 30 * rng.normal(size=(len(LEADS), 5000))).astype(
        np.int16
    )
    mv = samples * SCALE
    return Waveform(
        samples=samples, scale=np.full(12, SCALE), offset=np.zeros(12, np.float32), fs=500.0, length=5000,
        leads=bit_mask(LEADS), minimum=mv.min(1), maximum=mv.max(1), mean=mv.mean(1), deviation=mv.std(1),
        zeros=(samples == 0).sum(1), nans=np.zeros(12, int), flags=(),
    )  # fmt: skip


def _read(name: str) -> dict[str, Any]:
    return dict(yaml.load((ROOT / name).read_text("utf-8"), _Profile))  # a kind of SafeLoader


def _merged(old: Any, new: Mapping[str, Any]) -> dict[str, Any]:
    """``new`` over ``old``, key by key; a mapping takes the place of anything else."""
    base = old if isinstance(old, dict) else {}
    return base | {k: _merged(base.get(k), v) if isinstance(v, Mapping) else v for k, v in new.items()}


def machine(device: torch.device) -> dict[str, str]:
    """What it runs on, for whoever reads the table."""
    found = {"python": platform.python_version(), "torch": torch.__version__, "threads": str(torch.get_num_threads())}
    if device.type != "cuda":
        return found | {"device": f"CPU ({platform.machine()})"}
    properties = torch.cuda.get_device_properties(device)
    memory = f"{properties.total_memory / 2**30:.0f} GiB"
    return found | {
        "device": f"{properties.name}, {memory}", "cards": str(torch.cuda.device_count()),
        "cuda": str(torch.version.cuda), "cudnn": str(torch.backends.cudnn.version()),
        "capability": f"{properties.major}.{properties.minor}",
    }  # fmt: skip


def scratch(setting: Setting, name: str) -> Path:
    """A new folder."""
    return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=setting.folder))
