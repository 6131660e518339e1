"""The table of lead sets beside the scores with some of the leads."""

import pyarrow as pa

LEAD_SETS = pa.schema(
    [
        pa.field("leads", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),  # nested | single
        pa.field("count", pa.int32(), nullable=False),
        pa.field("names", pa.list_(pa.string()), nullable=False),
    ]
)
NESTED, SINGLE = "nested", "single"
"""The kinds of lead sets: leads added one by one, and one lead alone."""
