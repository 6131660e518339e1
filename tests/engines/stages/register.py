from pathlib import Path

from kmerl.artifacts import write_json
from kmerl.toy import ran


def main(params, item):
    ran(f"register@{item}")
    files = sorted(Path(f"data/simulated/{item}").glob("*.txt"))
    write_json(f"data/manifests/{item}.json", {file.name: file.stat().st_size for file in files})
    return f"{len(files)} files"
