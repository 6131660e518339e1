"""What the processes of a distributed run do in tests, and a program that starts them as a stage does.

``python -m tests.ranked FOLDER FAULT [MODULE OPTIONS]``; a fault is what one process does wrong, or "".
"""

import errno
import os
import signal
import sys
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace

from kmerl.errors import UserError

RECORDS = 24
FAULTS = {
    "mistake": lambda: (_ for _ in ()).throw(UserError("the loss is nan at step 3; lower the learning rate")),
    "disk": lambda: (_ for _ in ()).throw(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "checkpoint.pt")),
    "bug": lambda: (_ for _ in ()).throw(KeyError("a mistake of ours")),
    "exit": lambda: (print("Error: the driver is too old", file=sys.stderr, flush=True), os._exit(7)),
    "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "stopped": lambda: os.kill(os.getpid(), signal.SIGSTOP),
    "hung": lambda: time.sleep(600),
    "told": lambda: (os.kill(os.getppid(), signal.SIGTERM), time.sleep(1)),
    "all told": lambda: (os.killpg(os.getpgrp(), signal.SIGTERM), time.sleep(1)),
}


class Faulty:
    """Something that is asked for one step after another, and misbehaves at the third of them."""

    def __init__(self, rank, fault, batches):
        self.rank, self.fault, self.batches = rank, fault, batches

    def __getattr__(self, name):
        return getattr(self.batches, name)

    def __getitem__(self, step):
        name, _, ranks = self.fault.partition("@")
        if step == 5 and name and str(self.rank) in ranks:
            FAULTS[name]()
        return self.batches[step]


def train(folder, fault, **options):
    """Train the small model as the stage does, from the store in ``folder``; one rank has a fault at step 6."""
    import small

    from kmerl.checkpoint import described
    from kmerl.distributed import world
    from kmerl.training import loop
    from kmerl.training.run import RunConfig, Trained, TrainedOn, summary
    from kmerl.waveforms import WaveformStore
    from stages import pretrain

    os.chdir(folder)
    plain, rank = loop.Batches, world()[0]
    loop.Batches = lambda *given: Faulty(rank, fault, plain(*given))
    (folder / f"pid-{rank}").write_text(str(os.getpid()))
    store = WaveformStore(folder / "store")
    run = small.params(**({"batch": 2, "checkpoint_every": 2} | options))

    def fitted(name, run, material, text, seeds, scratch, report):
        from kmerl.training.run import _of_readers

        model = small.model(run)
        parts = small.examples(range(16)), small.examples(range(16, 24))
        with _of_readers():
            history, steps = loop.fit(model, small.texts(), store, *parts, run.params, 1, scratch, report=report)
        config = RunConfig.model_construct(
            **described(run.method), model=run.model, steps=steps, vocabulary=["a", "b", "c"],
            trained_on=TrainedOn(archive="toy", origin="simulated", records=16, reports=7),
        )  # fmt: skip
        return Trained(model, config, history, None, summary(model, config, history))

    pretrain.pretrain = fitted
    pretrain.read = lambda *_: None
    pretrain.read_json = lambda path: {"pretrain": "code", "methods": {"kmerl": "code"}}
    pretrain.digest = lambda *_: "same"
    pretrain.inputs = lambda *_: []
    from kmerl.text.params import TextParams

    made = {"run": "small", "seed": 1, "text": "base"}
    text = TextParams(encoder="package:x", pooling="mean", max_tokens=8, batch=1, threads=1)
    plan = SimpleNamespace(text=SimpleNamespace(base={}))
    params = SimpleNamespace(pretraining_archive="toy", text=text, seed=1, plan=plan)
    return pretrain.train(params, "small", made, run)


def train_and_note(folder, **options):
    """Train, and keep what each process has to say at the end."""
    said = train(folder, "", **options)
    (folder / f"said-{os.environ['RANK']}").write_text(said)


def on_node(folder, index, port):
    """What one of two nodes of one process each does."""
    from kmerl.training.nodes import Node
    from kmerl.training.processes import launch
    from tests.ranked import train_and_note  # by a name that other processes know

    launch(1, partial(train_and_note, Path(folder)), node=Node(int(index), 2, "localhost", int(port)))


def hang(folder):
    """The first process computes a step, the second one still reads its records."""
    from kmerl.training.rank import COMPUTES, READS, at

    at(6, READS if os.environ["RANK"] == "1" else COMPUTES)
    sleep(folder)


def sleep(folder):
    """Do nothing for long, once all are there."""
    (folder / f"pid-{os.environ['RANK']}").write_text(str(os.getpid()))
    time.sleep(600)


def main():
    """End as ``python -m stages pretrain small`` would."""
    import stages.__main__ as program
    from kmerl.training import processes
    from tests.ranked import sleep, train  # by a name that other processes know

    folder, fault = Path(sys.argv[1]), sys.argv[2]
    function = partial(sleep, folder) if fault == "sleep" else partial(train, folder, fault, workers=int(sys.argv[3]))
    program.note = lambda *_: None
    program.run = lambda *_: processes.launch(2, function)
    program.__name__ = "__main__"
    sys.exit(program.main(["pretrain", "small"]))


if __name__ == "__main__":
    main()
