"""Write a simulated archive in the official layout, and the truth behind it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

from kmerl.archives.schemas import TRUTH
from kmerl.archives.simulate import cpsc2018, csn, mimic_iv_ecg, ptb_xl
from kmerl.artifacts import whole, write_table
from kmerl.errors import UserError

WRITERS: dict[str, Callable[..., tuple[list[dict[str, Any]], dict[str, int]]]] = {
    "mimic_iv_ecg": mimic_iv_ecg.write,
    "ptb_xl": ptb_xl.write,
    "cpsc2018": cpsc2018.write,
    "csn": csn.write,
}


def main(params: Any, item: str) -> str:
    """Simulate the archive ``item``."""
    if item not in WRITERS:
        raise UserError(f"no simulator for {item!r}; params.yaml may list {', '.join(WRITERS)} under simulated")
    with whole(Path("data/simulated") / item) as folder:
        truth, broken = WRITERS[item](folder, params.seed, getattr(params.simulate, item))
    metadata = {"archive": item, "origin": "simulated"}
    write_table(Path("data/truth") / f"{item}.parquet", pa.Table.from_pylist(truth, schema=TRUTH), TRUTH, metadata)
    patients = len({row["patient_id"] for row in truth})
    faulty = ", ".join(f"{count} {fault}" for fault, count in sorted(broken.items())) or "none"
    return f"{len(truth)} records of {patients} patients; faulty on purpose: {faulty}"
