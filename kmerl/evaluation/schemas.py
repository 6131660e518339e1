"""The tables that evaluation writes; apart from it, so that readers of them need no model."""

import pyarrow as pa

PREDICTIONS = pa.schema(
    [
        pa.field("record_id", pa.string(), nullable=False),
        pa.field("patient_id", pa.string()),
        pa.field("archive", pa.string(), nullable=False),
        pa.field("task", pa.string(), nullable=False),
        pa.field("code", pa.string(), nullable=False),
        pa.field("leads", pa.string(), nullable=False),
        pa.field("way", pa.string(), nullable=False),  # of kmerl.evaluation.params.Way
        pa.field("names", pa.string(), nullable=False),  # column of the table of classes
        pa.field("probability", pa.float32(), nullable=False),
        pa.field("positive", pa.bool_(), nullable=False),
    ]
)
SCORES = pa.schema(
    [
        pa.field("run", pa.string(), nullable=False),
        pa.field("dataset", pa.string(), nullable=False),  # a task, or the average over all evaluated tasks
        pa.field("leads", pa.string(), nullable=False),
        pa.field("scope", pa.string(), nullable=False),  # leads that normalisation saw
        pa.field("way", pa.string(), nullable=False),
        pa.field("names", pa.string(), nullable=False),
        pa.field("code", pa.string()),
        pa.field("metric", pa.string(), nullable=False),
        pa.field("value", pa.float64(), nullable=False),  # NaN where nothing could be averaged
        pa.field("low", pa.float64(), nullable=False),
        pa.field("high", pa.float64(), nullable=False),
        pa.field("n", pa.int32(), nullable=False),  # records
        pa.field("positives", pa.int32(), nullable=False),  # labels of the classes counted
        pa.field("classes", pa.int32(), nullable=False),  # counted; of an average the tasks counted
        pa.field("left_out", pa.list_(pa.string()), nullable=False),  # codes without an AUC; of an average tasks
    ]
)
RESAMPLES = pa.schema(
    [
        pa.field("dataset", pa.string(), nullable=False),
        pa.field("leads", pa.string(), nullable=False),
        pa.field("scope", pa.string(), nullable=False),
        pa.field("way", pa.string(), nullable=False),
        pa.field("names", pa.string(), nullable=False),
        pa.field("metric", pa.string(), nullable=False),
        pa.field("values", pa.list_(pa.float32()), nullable=False),  # NaN where a resample has no value
    ]
)
SEEN = pa.schema(
    [
        pa.field("task", pa.string(), nullable=False),
        pa.field("code", pa.string(), nullable=False),
        pa.field("name", pa.string(), nullable=False),
        pa.field("nearest", pa.string(), nullable=False),  # training query
        pa.field("similarity", pa.float64(), nullable=False),  # cosine of the two texts' vectors
        pa.field("seen", pa.bool_(), nullable=False),
    ]
)
LEAD_SETS = pa.schema(
    [
        pa.field("leads", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),  # nested | single
        pa.field("count", pa.int32(), nullable=False),
        pa.field("names", pa.list_(pa.string()), nullable=False),
    ]
)
AVERAGE = "average"
"""The dataset of the rows that average over tasks."""
MACRO, MACRO_MIN, PER_CLASS = "macro_auc", "macro_auc_min", "auc"
"""The metrics: over a task's classes, over those of them with enough positives, and of one class."""
MACRO_SEEN, MACRO_RENAMED = "macro_auc_seen", "macro_auc_renamed"
"""Over the classes whose plain name is a training query, and over the others."""


NESTED, SINGLE = "nested", "single"
