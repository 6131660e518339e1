"""The tables that evaluation writes; apart from it, so that readers of them need no model."""

import pyarrow as pa

PREDICTIONS = pa.schema(
    [
        pa.field("record_id", pa.string(), nullable=False),
        pa.field("patient_id", pa.string()),
        pa.field("task", pa.string(), nullable=False),
        pa.field("code", pa.string(), nullable=False),
        pa.field("leads", pa.string(), nullable=False),
        pa.field("probability", pa.float32(), nullable=False),
        pa.field("positive", pa.bool_(), nullable=False),
    ]
)
SCORES = pa.schema(
    [
        pa.field("run", pa.string(), nullable=False),
        pa.field("dataset", pa.string(), nullable=False),
        pa.field("leads", pa.string(), nullable=False),
        pa.field("code", pa.string()),
        pa.field("metric", pa.string(), nullable=False),
        pa.field("value", pa.float64(), nullable=False),
        pa.field("low", pa.float64(), nullable=False),
        pa.field("high", pa.float64(), nullable=False),
        pa.field("n", pa.int32(), nullable=False),
        pa.field("positives", pa.int32(), nullable=False),
        pa.field("classes", pa.int32(), nullable=False),
        pa.field("left_out", pa.list_(pa.string()), nullable=False),
    ]
)
AVERAGE = "average"
"""The dataset of the rows that average over tasks."""
MACRO, MACRO_MIN, PER_CLASS = "macro_auc", "macro_auc_min", "auc"
"""The metrics: over a task's classes, over those of them with enough positives, and of one class."""
