from pathlib import Path

from kmerl.artifacts import write_json
from kmerl.toy import ran


def main(params, item):
    ran(f"catalogue@{item}")
    values = Path(f"data/simulated/{item}/values.txt").read_text().split()
    write_json(f"data/entries/{item}.json", values)
    return f"{len(values)} records"
