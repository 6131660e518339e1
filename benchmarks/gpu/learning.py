"""What is learnt: losses in float32 beside bfloat16, the same weights behind a kill, answers to classes by name."""

import time
from collections.abc import Iterator

import numpy as np
import torch

from benchmarks.gpu.report import Row
from benchmarks.gpu.setting import Setting, scratch
from benchmarks.gpu.speed import PRECISIONS
from kmerl.evaluation.auc import auc
from kmerl.evaluation.ways import Questions, ask_store
from kmerl.history import curve
from kmerl.leads import LEADS
from kmerl.model.network import Network
from kmerl.training.loop import fit
from kmerl.training.machine import settle
from kmerl.training.recipe import Recipe

LEAD_SETS = {"12 leads": LEADS, "I+II": ("I", "II"), "I": ("I",)}


def trained(setting: Setting, run: Recipe, name: str, stop_after: int | None = None) -> tuple[Network, list[float]]:
    """A model as the loop trains it, and its losses; what is in the folder of this name is gone on from."""
    settle(run.params.loop)
    model, folder = setting.network(run), setting.folder / name
    history, _ = fit(model, setting.texts(), setting.store, *setting.examples, run.params, 1, folder, stop_after)
    return model, curve(history, "loss")["value"].to_list()


def curves(setting: Setting) -> Iterator[Row]:
    """Losses over some hundred steps, float32 beside bfloat16, smoothed over a twentieth of them."""
    size = setting.size
    steps = {"epochs": None, "steps": size.curve, "batch": size.curve_batch, "validate_every": size.curve}
    taken = {}
    for name in ("float32", "bfloat16"):
        start = time.perf_counter()
        run = setting.recipe(PRECISIONS[name] | steps | {"valid_batch": size.curve_batch})
        setting.model, setting.curves[name] = trained(setting, run, f"curve-{name}")
        taken[name] = time.perf_counter() - start
    width = max(1, size.curve // 20)
    one, other = (np.convolve(setting.curves[name], np.ones(width) / width, "valid") for name in taken)
    for place in np.linspace(0, len(one) - 1, 6).astype(int):
        note = f"float32 {one[place]:.4f}"
        yield Row("loss", f"bfloat16 at step {place + width} of {size.curve}", float(other[place]), note=note)
    yield Row("loss", "largest difference of the curves", float(np.abs(one / other - 1).max() * 100), "%")
    for name, seconds in taken.items():
        rate = size.curve * size.curve_batch / seconds
        yield Row("loss", f"training with {name}, loader and validation included", rate, "records/s")


def resumed(setting: Setting) -> Iterator[Row]:
    """A run that is killed half-way and goes on, against one that is not; the same bytes where that is promised."""
    steps, batch = setting.size.resumed, setting.size.curve_batch
    loop = {
        "epochs": None, "steps": steps, "batch": batch, "validate_every": steps, "valid_batch": batch,
        "valid_records": batch, "checkpoint_every": max(1, steps // 4), "checkpoint_minutes": None,
    }  # fmt: skip
    for deterministic in (True, False):
        run = setting.recipe(PRECISIONS["bfloat16"] | loop | {"deterministic": deterministic})
        folders = [scratch(setting, name).name for name in ("whole", "killed")]
        whole, _ = trained(setting, run, folders[0])
        trained(setting, run, folders[1], stop_after=steps // 2 + 1)
        again, _ = trained(setting, run, folders[1])
        both = zip(whole.parameters(), again.parameters(), strict=True)
        far = max(float((a - b).detach().abs().max()) for a, b in both)
        note = "the same bytes" if far == 0 else "not the same bytes"
        yield Row("resumed run", f"largest difference of a weight, deterministic: {deterministic}", far, note=note)
    torch.use_deterministic_algorithms(False)


def zeroshot(setting: Setting) -> Iterator[Row]:
    """The trained model asked for two classes that the simulated records tell, from all leads and from few."""
    if setting.model is None:
        yield Row("zero-shot", "AUC", None, note="there is no trained model: the part loss did not end")
        return
    model, held, run = setting.model.eval(), setting.examples[1], setting.recipe()
    questions = Questions(model, [setting.texts().queries], ["query"])
    for name, leads in LEAD_SETS.items():
        start = time.perf_counter()
        ((answers,),) = ask_store(
            questions, setting.store, held.rows.tolist(), leads, run.params.normalize, setting.size.batch
        ).values()
        rate = len(answers) / (time.perf_counter() - start)
        area = auc(answers[:, :2].astype(np.float64), held.labels[:, :2] > 0).mean()
        yield Row("zero-shot", f"AUC of 2 classes, {name}", float(area), note=f"{rate:,.0f} records/s")
