"""The tables that probing writes; apart from it, so that readers of them need no torch."""

import pyarrow as pa

PROBE_SCORES = pa.schema(
    [
        pa.field("run", pa.string(), nullable=False),  # name of the features
        pa.field("dataset", pa.string(), nullable=False),  # a task, or the average over all evaluated tasks
        pa.field("leads", pa.string(), nullable=False),
        pa.field("share", pa.float64(), nullable=False),  # of the task's training records
        pa.field("kind", pa.string(), nullable=False),  # of the probe: paper, standardized, logistic, merl_code
        pa.field("code", pa.string()),
        pa.field("metric", pa.string(), nullable=False),  # of kmerl.evaluation.schemas: MACRO, MACRO_MIN, PER_CLASS
        pa.field("value", pa.float64(), nullable=False),  # mean over draws; NaN where nothing could be averaged
        pa.field("low", pa.float64(), nullable=False),
        pa.field("high", pa.float64(), nullable=False),
        pa.field("draws", pa.int32(), nullable=False),  # of the share's records
        pa.field("spread", pa.float64(), nullable=False),  # deviation over draws; NaN of one
        pa.field("n", pa.int32(), nullable=False),  # tested records
        pa.field("positives", pa.int32(), nullable=False),  # labels of the classes counted
        pa.field("classes", pa.int32(), nullable=False),  # counted; of an average the tasks counted
        pa.field("train_records", pa.int32(), nullable=False),  # of an average the sum over tasks
        pa.field("left_out", pa.list_(pa.string()), nullable=False),  # codes without an AUC; of an average tasks
        # codes counted with AUC 0.5 in some draw, which has no positive or no negative of them; of an average task/code
        pa.field("untrained", pa.list_(pa.string()), nullable=False),
    ]
)
PROBE_RESAMPLES = pa.schema(
    [
        pa.field("dataset", pa.string(), nullable=False),
        pa.field("leads", pa.string(), nullable=False),
        pa.field("share", pa.float64(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("metric", pa.string(), nullable=False),
        pa.field("values", pa.list_(pa.float32()), nullable=False),  # NaN where a resample has no value
    ]
)
