"""Schemas of the tables that come of an archive's own tables; metadata: {archive, origin}."""

import pyarrow as pa

ENTRIES = pa.schema(  # one row per record whose waveform is to be read
    [
        pa.field("record_id", pa.string(), nullable=False),
        pa.field("patient_id", pa.string()),
        pa.field("file", pa.string(), nullable=False),  # header or struct, relative to the archive's folder
        pa.field("flags", pa.list_(pa.string()), nullable=False),  # what the archive's tables have amiss
    ]
)
STATEMENTS = pa.schema(
    [
        pa.field("record_id", pa.string(), nullable=False),
        pa.field("statements", pa.list_(pa.string()), nullable=False),  # non-empty pieces of the report, in order
    ]
)
TARGETS = pa.schema(  # one row per positive label, and one without a code for a record of a task that has none there
    [
        pa.field("record_id", pa.string(), nullable=False),
        pa.field("task", pa.string(), nullable=False),
        pa.field("code", pa.string()),
    ]
)
LABEL_DIFFERENCES = pa.schema(  # how labels by the published rule differ from corrected ones; see published.differences
    [pa.field(name, pa.string(), nullable=False) for name in ("task", "code", "split")]
    + [
        pa.field(name, pa.int64(), nullable=False)
        for name in ("records", "published", "corrected", "false_positives", "false_negatives", "differing")
    ]
)
REJECTED = pa.schema(
    [
        pa.field("record_id", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),  # short fixed category
        pa.field("detail", pa.string(), nullable=False),  # one line
    ]
)


SPLITS = pa.schema(
    [
        pa.field("record_id", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),  # train | valid | test
    ]
)

SPLIT_NAMES = ("train", "valid", "test")
TOTAL = "total"
"""The row over all classes, and the rows over all splits, of :data:`LABEL_DIFFERENCES`."""


TRUTH: pa.Schema = pa.schema(
    [
        pa.field("record_id", pa.string(), nullable=False),
        pa.field("patient_id", pa.string(), nullable=False),
        pa.field("conditions", pa.list_(pa.string()), nullable=False),
        pa.field("asserted", pa.list_(pa.string())),
        pa.field("not_excluded", pa.list_(pa.string())),
        pa.field("denied", pa.list_(pa.string())),
    ]
)
"""What was simulated, by record: keys of the condition table. For scoring only.

``conditions`` are those of the heart. The other columns are what the report says, which misses findings and names
others that are not there: as present or possible, as not to be ruled out, as absent; null where there is no report.
"""
