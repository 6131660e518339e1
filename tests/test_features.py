import json
import tracemalloc

import numpy as np
import pytest
import small

from kmerl.errors import UserError
from kmerl.features.pooling import pooled
from kmerl.features.store import Features, write_features
from kmerl.leads import LEADS

SETS = {"12 leads": list(LEADS), "I": ["I"]}


def absolute_mean(store, rows, title):
    """One feature per lead: the mean of its absolute values; NaN without leads."""
    signals = np.stack([store.read(row, SETS[title]) for row in rows])
    values = np.abs(signals).mean(2).sum(1, keepdims=True)
    return np.where(values > 0, values, np.nan).astype(np.float32)


def write(folder, stores, embed=absolute_mean, width=1, batch=5):
    return write_features(folder, "loudness", "toy", stores, SETS, width, embed, batch, None)


@pytest.fixture
def store(tmp_path):
    return small.store(tmp_path / "store")


@pytest.fixture
def network():
    run = small.params()
    return small.model(run).eval(), run.normalize


def test_features_stand_in_the_order_of_the_store_whatever_the_batch(tmp_path, store):
    write(tmp_path / "a", [store], batch=5)
    write(tmp_path / "b", [store], batch=24)
    for name in SETS:
        found = Features(tmp_path / "a").read("toy", store.records, name)
        assert found.shape == (24, 1)
        np.testing.assert_array_equal(found, absolute_mean(store, range(24), name))
    assert {p.name: p.read_bytes() for p in (tmp_path / "a").iterdir()} == {
        p.name: p.read_bytes() for p in (tmp_path / "b").iterdir()
    }


def test_a_record_without_the_leads_is_a_row_of_nan_and_counted(tmp_path, network):
    model, normalize = network
    store = small.store(tmp_path / "store", leads=LEADS[6:])
    described = write_features(
        tmp_path / "f",
        "a",
        "kmerl",
        [store],
        SETS,
        8,
        lambda store, rows, name: pooled(model, store, rows, SETS[name], normalize, 4),
        7,
        None,
    )
    features = Features(tmp_path / "f")
    assert np.isnan(features.read("toy", store.records, "I")).all()
    assert np.isfinite(features.read("toy", store.records, "12 leads")).all()
    assert described.archives["toy"].absent == {"12 leads": 0, "I": 24}
    assert "24 without any lead" in str(described)


def test_hidden_leads_do_not_change_features(tmp_path, network):
    model, normalize = network
    store, louder = small.store(tmp_path / "a"), small.store(tmp_path / "b", louder_but=["I", "V2"])
    shown = [pooled(model, one, range(8), ["I", "V2"], normalize, 4) for one in (store, louder)]
    np.testing.assert_array_equal(*shown)
    every = [pooled(model, one, range(8), LEADS, normalize, 4) for one in (store, louder)]
    assert not np.allclose(*every)


def test_pooled_features_are_the_mean_of_the_tokens(tmp_path, network, store):
    model, normalize = network
    alone = np.concatenate([pooled(model, store, [row], LEADS, normalize, 1) for row in (3, 1)])
    np.testing.assert_allclose(alone, pooled(model, store, [3, 1], LEADS, normalize, 2), atol=1e-6)
    assert alone.shape == (2, 8)


def test_damaged_weights_are_refused(tmp_path, network, store):
    model, normalize = network
    next(model.encoder.parameters()).data.fill_(float("nan"))
    with pytest.raises(UserError, match="pretrain it again"):
        pooled(model, store, [0], LEADS, normalize, 1)


def test_features_that_are_in_part_no_numbers_are_refused(tmp_path, store):
    half = np.array([[1, np.nan]], np.float32)
    with pytest.raises(UserError, match="not finite"):
        write(tmp_path / "f", [store], lambda store, rows, leads: np.repeat(half, len(rows), 0), width=2)
    assert not (tmp_path / "f").exists()


@pytest.mark.parametrize("damage", ["cut", "flip", "gone", "json", "key"])
def test_damaged_features_are_refused_in_one_line(tmp_path, store, damage):
    write(tmp_path / "f", [store])
    file, index = tmp_path / "f" / "toy-1.npy", tmp_path / "f" / "features.json"
    content = file.read_bytes()
    if damage == "cut":
        file.write_bytes(content[:-4])
    elif damage == "flip":
        file.write_bytes(content[:-3] + bytes([content[-3] ^ 1]) + content[-2:])
    elif damage == "gone":
        file.unlink()
    elif damage == "json":
        index.write_text(index.read_text()[:40])
    else:
        index.write_text(json.dumps({k: v for k, v in json.loads(index.read_text()).items() if k != "width"}))
    with pytest.raises(UserError, match="again") as raised:
        Features(tmp_path / "f").read("toy", store.records, "I")
    assert "\n" not in str(raised.value)


def test_features_of_other_records_are_refused(tmp_path, store):
    write(tmp_path / "f", [store])
    features = Features(tmp_path / "f")
    with pytest.raises(UserError, match="other records"):
        features.read("toy", store.records.reverse(), "I")
    with pytest.raises(UserError, match="no features of toy with 'II'"):
        features.read("toy", store.records, "II")


def test_writing_holds_one_batch_in_memory(tmp_path, store):
    def wide(store, rows, leads):
        return np.ones((len(rows), 50_000), np.float32)  # 0.2 MB a record

    tracemalloc.start()
    try:
        write(tmp_path / "f", [store], wide, width=50_000, batch=2)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (tmp_path / "f" / "toy-0.npy").stat().st_size > 4_800_000
    assert peak < 2_500_000
