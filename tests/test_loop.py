"""Pretraining on machines that fail, run short, or tell it to end."""

import multiprocessing
import os
import signal
import sys
import time

import numpy as np
import pytest
import small
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from kmerl.children import terminable
from kmerl.distributed import one_of_several
from kmerl.errors import UserError
from kmerl.training import ledger, loop, machine
from kmerl.training.batches import Batches
from kmerl.training.checkpoints import resume
from kmerl.training.processes import distributed, launch


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return small.store(tmp_path_factory.mktemp("store") / "toy")


def train(store, scratch, run=None, texts=None, **options):
    run = run or small.params()
    model = small.model(run)
    parts = small.examples(range(16)), small.examples(range(16, 24))
    try:
        history, _ = loop.fit(model, texts or small.texts(), store, *parts, run.params, 1, scratch, **options)
    except UserError as error:
        error.model = model
        raise
    return model, history


def weights(model):
    return torch.cat([weight.detach().ravel() for weight in model.state_dict().values()])


def kept(scratch):
    """The step of the checkpoint, None without one."""
    path = scratch / "checkpoint.pt"
    return torch.load(path, weights_only=True)["step"] if path.exists() else None


# ---------------------------------------------------------------------------------------------------- losses


@pytest.fixture(params=[1, 4], ids=["each step", "every fourth"])
def looks(request, monkeypatch):
    """Losses are read so often, as on a CPU or on a GPU."""
    made = ledger.Ledger.__init__

    def init(self, *given):
        made(self, *given)
        self._every = request.param

    monkeypatch.setattr(ledger.Ledger, "__init__", init)
    return request.param


def test_what_is_logged_does_not_depend_on_how_often_losses_are_read(store, tmp_path, looks, monkeypatch):
    run = small.params(steps=7, validate_every=5, checkpoint_every=None)
    read, plain = [], ledger.Ledger.read
    monkeypatch.setattr(ledger.Ledger, "read", lambda self: read.append(1) or plain(self))
    model, history = train(store, tmp_path, run)
    monkeypatch.undo()
    expected, whole = train(store, tmp_path, run)
    assert history.equals(whole) and torch.equal(weights(model), weights(expected))
    assert len(read) == {1: 7, 4: 3}[looks]


def broken_texts(report):
    texts = small.texts()
    texts.reports[report] = np.nan
    return texts


def first_step_with(store, run, report):
    examples = small.examples(range(16))
    made = Batches(store, examples, run.method, run.model.tokens, run.normalize, run.loop.batch, 1)
    return next(step for step in range(4) if report in examples.reports[made.members(step)]), made


@pytest.mark.parametrize("clip", [1.0, None])
def test_a_loss_that_is_no_number_changes_no_weight_and_names_its_records(store, tmp_path, looks, clip):
    run = small.changed(small.params(checkpoint_every=2), {"optimizer": {"clip_norm": clip}})
    report = next(one for one in range(small.REPORTS) if first_step_with(store, run, one)[0] > 0)
    step, made = first_step_with(store, run, report)
    with pytest.raises(UserError, match=rf"the loss is nan at step {step + 1}; lower pretrain.opt.*") as error:
        train(store, tmp_path / "broken", run, broken_texts(report))
    assert all(f"r{row}" in str(error.value) for row in made.members(step))
    assert "not taken: contrastive nan, query 0." in str(error.value)
    before, _ = train(store, tmp_path / "whole", run, stop_after=step)
    learnt = [name for name, _ in before.named_parameters()]
    one, other = before.state_dict(), error.value.model.state_dict()
    assert all(torch.equal(one[name], other[name]) for name in learnt)
    assert kept(tmp_path / "broken") in (None, *range(step + 1))


def test_a_gradient_that_is_not_finite_changes_no_weight_either(store, tmp_path):
    run = small.params()
    model = small.model(run)
    weight = next(model.parameters())
    weight.register_hook(lambda gradient: gradient * float("inf"))
    before = weights(model)
    parts = small.examples(range(16)), small.examples(range(16, 24))
    with pytest.raises(
        UserError, match=r"the gradient of the loss [\d.]+ is not finite at step 1; .*the step was not taken"
    ):
        loop.fit(model, small.texts(), store, *parts, run.params, 1, tmp_path)
    assert torch.equal(weights(model), before)


def test_records_whose_waveforms_are_no_numbers_are_the_ones_that_are_named(tmp_path):
    store = small.store(tmp_path / "toy", flat=[5])
    run = small.changed(small.params(), {"normalize": {"rule": "zscore"}})
    with pytest.raises(UserError, match=r"at step \d.*: record r5 not finite once normalised \(rule zscore\); leave"):
        train(store, tmp_path, run)


def test_nothing_of_a_step_is_read_from_the_device_before_it_is_due():
    """Tensors without values: whoever asks for one fails."""
    with FakeTensorMode():
        layer = torch.nn.Linear(3, 1)
        optimizer = torch.optim.AdamW(layer.parameters(), fused=True)
        rows = ledger.Ledger(torch.device("cpu"), [])
        params = small.changed(small.params(precision="bfloat16")).params
        for step in range(1, 4):
            wrapped = lambda batch: {"loss": layer(batch).float().square().mean()}  # noqa: E731
            losses, norm = loop._gradient(wrapped, [*layer.parameters()], torch.ones(2, 3), 1, params)
            rows.add(step, 0.1, losses, norm, told=False)
            loop._update(optimizer, 0.1, rows.lost)
        with pytest.raises(Exception, match=r"item|data-dependent|tolist|local_scalar"):
            rows.read()


def test_text_vectors_are_moved_to_a_device_once():
    class Vectors:
        moved = 0

        def __array__(self, *_, **__):
            Vectors.moved += 1
            return small.texts().reports

    texts, device = small.texts(), torch.device("meta")
    texts.reports = texts.queries = Vectors()
    shapes = [(texts.of_reports(torch.arange(4), device).shape, texts.of_queries(None, device).shape) for _ in range(3)]
    assert Vectors.moved == 2 and set(shapes) == {((4, small.TEXT_WIDTH), (small.REPORTS, small.TEXT_WIDTH))}


# --------------------------------------------------------------------------------------------- told to end


@pytest.fixture
def heard():
    """Ctrl-C is heard, also where the tests run in the background of a shell."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heard")
@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("workers", [0, 1])
def test_a_run_that_is_told_to_end_keeps_the_step_under_way_and_goes_on_from_it(store, tmp_path, sent, workers):
    run = small.params(checkpoint_every=None, workers=workers)
    whole, history = train(store, tmp_path / "whole", run)
    told = lambda line: "step 4 of" in line and os.kill(os.getpid(), sent)  # noqa: E731
    with terminable(), pytest.raises(KeyboardInterrupt, match=r"^after step 5 of 8, from which it goes on$"):
        train(store, tmp_path / "told", run, report=told)
    assert kept(tmp_path / "told") == 5
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    said = []
    resumed, again = train(store, tmp_path / "told", run, report=said.append)
    assert said[0] == "continues after step 5 of 8"
    assert torch.equal(weights(whole), weights(resumed)) and history.equals(again)


@pytest.mark.usefixtures("heard")
def test_whoever_presses_ctrl_c_twice_waits_for_nothing(store, tmp_path):
    def told(line):
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)
        time.sleep(60)

    with pytest.raises(KeyboardInterrupt) as stop:
        train(store, tmp_path, small.params(checkpoint_every=None), report=told)
    assert str(stop.value) == "" and kept(tmp_path) is None


def test_a_run_that_is_told_to_end_at_its_last_step_has_ended(store, tmp_path):
    told = lambda line: "step 7 of 8" in line and os.kill(os.getpid(), signal.SIGTERM)  # noqa: E731
    run = small.params(validate_every=1)
    history = train(store, tmp_path / "told", run, report=told)[1]
    assert history.equals(train(store, tmp_path / "whole", run)[1])


# --------------------------------------------------------------------------------------------- checkpoints


@pytest.mark.parametrize(
    ("every", "minutes", "expected"),
    [(3, None, 3), (None, 1e-9, 5), (None, 60.0, None), (None, None, None), (2, 60.0, 4)],
)
def test_checkpoints_are_due_by_steps_or_by_the_clock(store, tmp_path, every, minutes, expected):
    run = small.params(checkpoint_every=every, checkpoint_minutes=minutes)
    train(store, tmp_path, run, stop_after=5)
    assert kept(tmp_path) == expected


def test_a_run_goes_on_only_where_a_step_sees_the_same_records(store, tmp_path):
    train(store, tmp_path, stop_after=5)
    run = small.params()
    learner = loop.Learner(small.model(run), small.texts())
    optimizer = torch.optim.AdamW([*learner.parameters()], fused=True)
    assert resume(tmp_path, learner, optimizer, torch.device("cpu"), batch=2, processes=2)[0] == 3
    with pytest.raises(
        UserError, match=r"begun with 4 records in a step, not 4 in each of 2 processes; set .*batch to 2"
    ):
        resume(tmp_path, learner, optimizer, torch.device("cpu"), batch=4, processes=2)
    with pytest.raises(UserError, match=r"not 8 in each of 1 processes; set pretrain.loop.batch to 4, or delete it"):
        train(store, tmp_path, small.params(batch=8))


# --------------------------------------------------------------------------------------------- the machine


def test_a_machine_without_enough_memory_is_told_which_setting_to_lower(store, tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"pretrain.loop.batch: memory does not hold 512 records; lower it to 256"), \
            machine.fitting("pretrain.loop.batch", 512):  # fmt: skip
        torch.empty(1 << 60)
    with pytest.raises(UserError, match="valid_batch: the GPU's memory does not hold 4 records; lower it to 2"), \
            machine.fitting("pretrain.loop.valid_batch", 4):  # fmt: skip
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
    with pytest.raises(RuntimeError, match="shapes"), machine.fitting("pretrain.loop.batch", 4):
        torch.ones(2, 3) @ torch.ones(2, 3)
    monkeypatch.setattr(loop, "validated", lambda *_: torch.empty(1 << 60))
    with pytest.raises(UserError, match=r"pretrain.loop.valid_batch: memory does not hold 4 records"):
        train(store, tmp_path)


def test_readers_without_shared_memory_are_refused_before_they_start(store, tmp_path, monkeypatch):
    run = small.params(workers=3)
    batch = Batches(store, small.examples(range(16)), run.method, run.model.tokens, run.normalize, 4, 1)[0]
    each = machine.size(batch)
    assert each > 4 * 8 * 20 * 2  # one lead at least of each record, 8 tokens of 20 samples in int16
    monkeypatch.setattr(machine, "SHARED", tmp_path)
    usage = type("Usage", (), {"free": each * 5 // 4 * 3})
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(UserError, match=r"MB are free, .* 3 workers of each process need .*lower .*workers to 1, or"):
        train(store, tmp_path / "scratch", run)
    usage.free *= 3
    train(store, tmp_path / "scratch", run)


@pytest.mark.skipif(sys.platform != "linux", reason="forks are safe on Linux only")
@pytest.mark.filterwarnings("ignore:.*fork")
def test_readers_get_no_copy_of_the_index_whatever_the_default_is(store, tmp_path, monkeypatch):
    def refuse(self, *_):
        raise AssertionError("pickled")

    monkeypatch.setattr(Batches, "__reduce_ex__", refuse)
    before = multiprocessing.get_start_method()
    multiprocessing.set_start_method("forkserver", force=True)  # Python 3.14's
    try:
        helped, _ = train(store, tmp_path / "helped", small.params(workers=1))
    finally:
        multiprocessing.set_start_method(before, force=True)
    assert torch.equal(weights(helped), weights(train(store, tmp_path / "alone")[0]))


CLUSTER = {"RANK": "3", "LOCAL_RANK": "3", "WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "8", "MASTER_ADDR": "node1",
           "MASTER_PORT": "29500"}  # fmt: skip


def test_what_a_cluster_sets_for_every_job_is_not_taken_for_torchrun(monkeypatch):
    for name in ("TORCHELASTIC_RUN_ID", "KMERL_WATCHED"):
        monkeypatch.delenv(name, raising=False)
    for name, value in CLUSTER.items():
        monkeypatch.setenv(name, value)
    assert not one_of_several() and distributed(lambda: "alone") == "alone"
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    assert one_of_several()


def test_more_processes_than_gpus_are_refused_before_anything_starts(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    message = "^pretrain.loop.processes: 8 but 4 GPUs; lower it$"
    with pytest.raises(UserError, match=message):
        launch(8, print)
    for name, value in (CLUSTER | {"TORCHELASTIC_RUN_ID": "none"}).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=message):
        distributed(print)


def test_the_machine_is_set_as_the_parameters_say():
    before = torch.get_num_threads(), torch.get_float32_matmul_precision(), torch.are_deterministic_algorithms_enabled()
    try:
        machine.settle(small.params(float32_matmul="high", deterministic=False, threads=2).loop)
        set_so = torch.get_num_threads(), torch.get_float32_matmul_precision()
        assert set_so == (2, "high") and not torch.are_deterministic_algorithms_enabled()
        machine.settle(small.params().loop)
        assert torch.are_deterministic_algorithms_enabled()
    finally:
        torch.set_num_threads(before[0])
        torch.set_float32_matmul_precision(before[1])
        torch.use_deterministic_algorithms(before[2])


@pytest.mark.thorough
def test_compiled_layers_learn_what_the_others_learn(store, tmp_path):
    run = small.changed(small.params(), {"model": {"encoder": {"dropout": 0.0}}}, {"query": {"dropout": 0.0}})
    plain, compiled = (
        train(store, tmp_path / str(on), small.changed(run, {"loop": {"compile": on}}))[1] for on in (False, True)
    )
    assert np.allclose(plain["value"], compiled["value"], rtol=1e-3)
