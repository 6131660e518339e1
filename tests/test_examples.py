import numpy as np
import polars as pl
import pytest

from kmerl.artifacts import digest, write_json
from kmerl.errors import UserError
from kmerl.knowledge.vocabulary import Vocabulary, load_names, make_vocabulary, names_of
from kmerl.randomness import generator
from kmerl.training.dataset import examples, sample
from kmerl.training.text_vectors import Names

RECORDS = pl.DataFrame(
    {"record_id": ["r3", "r1", "r2", "r4", "r5"], "split": ["train", "train", "valid", "train", "train"]}
)
STUDIES = pl.DataFrame({"record_id": ["r1", "r2", "r3", "r5"], "report_id": ["b", "a", "a", "b"]})
REPORTS = pl.DataFrame({"report_id": ["a", "b"], "text": ["af.", "sinus rhythm."]})
TEXTS = ["sinus rhythm.", "af."]
LABELS = pl.DataFrame(
    {"record_id": ["r1", "r2", "r3"], "positives": [[1], [0], [0]]},
    schema={"record_id": pl.String, "positives": pl.List(pl.Int32)},
)


@pytest.fixture
def vocabulary() -> Vocabulary:
    return make_vocabulary(["atrial fibrillation", "sinus rhythm"], {})


def test_waveform_report_and_labels_are_joined_by_record_whatever_their_order(vocabulary):
    found = examples(RECORDS, STUDIES, REPORTS, TEXTS, vocabulary, LABELS, "train")
    assert [RECORDS["record_id"][int(row)] for row in found.rows] == ["r3", "r1"]
    assert [TEXTS[int(report)] for report in found.reports] == ["af.", "sinus rhythm."]
    assert found.labels.tolist() == [[1, 0], [0, 1]]


def test_records_without_a_report_or_without_labels_are_not_learnt_from(vocabulary):
    found = examples(RECORDS, STUDIES, REPORTS, TEXTS, vocabulary, LABELS, "train")
    assert not {"r4", "r5"} & {RECORDS["record_id"][int(row)] for row in found.rows}


def test_a_split_shares_no_record_with_another(vocabulary):
    train, valid = (
        examples(RECORDS, STUDIES, REPORTS, TEXTS, vocabulary, LABELS, split) for split in ("train", "valid")
    )
    assert valid.rows.tolist() == [2]
    assert not set(train.rows.tolist()) & set(valid.rows.tolist())


def test_a_sample_keeps_rows_together(vocabulary):
    train = examples(RECORDS, STUDIES, REPORTS, TEXTS, vocabulary, LABELS, "train")
    one = sample(train, 1, seed=3)
    place = train.rows.tolist().index(int(one.rows[0]))
    assert one.reports[0] == train.reports[place]
    assert np.array_equal(one.labels[0], train.labels[place])
    assert np.array_equal(sample(train, 9, seed=3).rows, train.rows)


def test_a_checkpoint_belongs_to_its_values_and_to_the_bytes_of_its_inputs(tmp_path):
    file = tmp_path / "records.parquet"
    names = set()
    for values, content in ((["a", 1], b"x"), (["a", 2], b"x"), (["a", 1], b"y"), (["a1", ""], b"x")):
        file.write_bytes(content)
        names.add(digest(values, [file]))
    assert len(names) == 4
    file.write_bytes(b"x")
    assert digest(["a", 1], [file]) in names


MERGED = {"afib": "atrial fibrillation", "atrial fibrillation": "atrial fibrillation", "a fib": "atrial fibrillation",
          "lvh": "lvh", "arrhythmia": "atrial fibrillation", "rare": "left out"}  # fmt: skip


def test_a_query_is_asked_by_its_own_name_and_by_what_was_merged_into_it():
    names = names_of(["atrial fibrillation", "lvh", "arrhythmia"], MERGED)
    assert names == {
        "atrial fibrillation": ["atrial fibrillation", "a fib", "afib"],
        "lvh": ["lvh"],
        "arrhythmia": ["arrhythmia"],  # a superclass of this name is not asked by it as atrial fibrillation
    }


def test_drawn_names_belong_to_their_query_and_follow_from_the_generator():
    queries = ["lvh", "atrial fibrillation"]
    names = Names.of(queries, names_of(queries, MERGED), lambda texts: np.arange(len(texts), dtype=np.float32)[:, None])
    draws = [names.draw(generator(1, "query names", step)) for step in range(40)]
    assert {names.texts[lvh] for lvh, _ in draws} == {"lvh"}
    assert {names.texts[af] for _, af in draws} == {"atrial fibrillation", "a fib", "afib", "arrhythmia"}
    assert all(names.vectors[row, 0] == row for draw in draws for row in draw)
    assert np.array_equal(draws[7], names.draw(generator(1, "query names", 7)))


def test_names_of_another_vocabulary_are_refused(vocabulary, tmp_path):
    names = names_of(vocabulary.queries, {})
    write_json(tmp_path / "names.json", names)
    assert load_names(tmp_path, vocabulary) == names
    write_json(tmp_path / "names.json", names | {"lvh": ["lvh"]})
    with pytest.raises(UserError, match="run the labels stage again"):
        load_names(tmp_path, vocabulary)
