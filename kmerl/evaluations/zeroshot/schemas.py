"""The tables that zero-shot evaluation writes beside its scores."""

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
