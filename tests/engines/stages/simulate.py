from pathlib import Path

from kmerl.toy import draw, ran


def main(params, item):
    ran(f"simulate@{item}")
    folder = Path(f"data/simulated/{item}")
    folder.mkdir(parents=True, exist_ok=True)
    values = draw(params.seed, getattr(params.simulate, item)["records"])
    (folder / "values.txt").write_text("\n".join(map(str, values)))
    return f"{len(values)} records"
