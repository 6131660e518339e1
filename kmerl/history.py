"""The table of a run's losses (``history.parquet``); apart from the trainer, so that readers of it need neither."""

import pyarrow as pa

HISTORY = pa.schema(
    [
        pa.field("step", pa.int32(), nullable=False),
        pa.field("learning_rate", pa.float64()),
        pa.field("loss", pa.float64()),
        pa.field("contrastive", pa.float64()),
        pa.field("query", pa.float64()),
        pa.field("valid_query", pa.float64()),
        pa.field("valid_auc", pa.float64()),
    ]
)
