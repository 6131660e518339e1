"""Schemas of the tables that preprocessing leaves beside the waveform store; metadata: {archive, origin}."""

import pyarrow as pa

STATEMENTS = pa.schema(
    [
        pa.field("record_id", pa.string(), nullable=False),
        pa.field("statements", pa.list_(pa.string()), nullable=False),  # non-empty pieces of the report, in order
    ]
)
TARGETS = pa.schema(  # one row per positive label
    [
        pa.field("record_id", pa.string(), nullable=False),
        pa.field("task", pa.string(), nullable=False),
        pa.field("code", pa.string(), nullable=False),
    ]
)
REJECTED = pa.schema(
    [
        pa.field("record_id", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),  # short fixed category
        pa.field("detail", pa.string(), nullable=False),  # one line
    ]
)
