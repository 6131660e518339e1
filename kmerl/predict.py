"""Ask a pretrained model about one record.

python -m kmerl.predict RECORD                               all leads, all classes of the downstream tasks
python -m kmerl.predict RECORD --leads I,II --classes names.txt
python -m kmerl.predict signal.csv --fs 250 --unit uV --plot answer.png
"""

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from kmerl.command_line import Parser, run
from kmerl.errors import UserError
from kmerl.escapes import printable, screen
from kmerl.regular import content_of

if TYPE_CHECKING:
    from kmerl.use.prediction import Prediction

RUN = Path("data/runs/kmerl")
PARAMS = Path("params.yaml")
_LARGEST = 1 << 22  # bytes of a list of names or of parameters: 100,000 names
_PICTURES = (".png", ".svg", ".pdf")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = Parser(prog="python -m kmerl.predict", description=__doc__)
    add = result.add_argument
    add("record", type=Path, metavar="RECORD", help="a WFDB header, CPSC2018 or plain .mat, .npy, or CSV file")
    add("--run", type=Path, default=RUN, metavar="FOLDER", help=f"the pretrained run (default: {RUN})")
    add(
        "--trust-encoder",
        metavar="FOLDER",
        action="append",
        default=[],
        help="a text encoder that the run may name though it is outside of it, as params.yaml's is",
    )
    add("--leads", metavar="I,II,V2", help="which leads to use; names of rows or columns that have none")
    add("--classes", metavar="FILE", help="names, one a line; or downstream (default), training, or a task's name")
    add("--class", dest="names", action="append", metavar="NAME", help="one class, any text; may be repeated")
    add("--fs", type=float, metavar="HZ", help="samples per second, of files that do not say")
    add("--unit", metavar="UNIT", help="mV (default), uV or V, of files that do not say")
    add("--gain", type=float, metavar="STEPS", help="steps per unit, of files with raw values")
    add("--baseline", type=float, metavar="STEP", help="the step that stands for 0, of files with raw values")
    add("--way", help="query, contrastive, average or mixture (default: query if the run can be asked so)")
    add("--context", default="training", help="who sees a class: training (queries; default), together, alone")
    add("--hop", type=float, metavar="S", help="from one window to the next (default: a window's length)")
    add("--combine", default="mean", help="of the windows' probabilities: mean (default) or max")
    add("--centre", action="store_true", help="subtract each lead's median")
    add("--top", type=int, default=10, metavar="N", help="how many classes to print; 0 for all (default: 10)")
    add("--plot", type=Path, metavar="FILE", help="draw the ECG and the answers: .png, .svg or .pdf")
    add("--csv", type=Path, metavar="FILE", help="write all probabilities as CSV")
    return result


def main(argv: Sequence[str]) -> int:
    """Returns the exit status: 0, or 1 after one line about what is wrong."""
    try:
        arguments = parser().parse_args(argv)
        prediction = _predict(arguments)
        for line in prediction.warnings:
            print(f"predict: warning: {printable(line)}", file=sys.stderr)
        _write(prediction, arguments)
        print(screen(prediction.text(arguments.top or None)))
    except UserError as error:
        print(f"predict: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        if __name__ == "__main__":  # the program ends with this line, however often it is told to
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        print("predict: interrupted", file=sys.stderr)
        return 1
    return 0


def class_list(classes: str | None, names: Sequence[str] | None) -> list[str] | str | None:
    """What ``--classes`` and ``--class`` ask for.

    Raises:
        UserError: a file that is not there or holds no name.
    """
    if classes is None:
        return list(names) if names else None
    path = Path(classes)
    if not path.is_file():
        if path.suffix or len(path.parts) > 1 or names:
            raise UserError(f"{classes}: no such file; give a file of names, one a line")
        return classes  # the name of a list; the model knows which there are
    try:
        lines = [line.strip() for line in content_of(path, _LARGEST).decode("utf-8-sig").splitlines()]
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not readable as text ({error})") from None
    found = [line for line in lines if line and not line.startswith("#")]
    if not found:
        raise UserError(f"{path}: no names; give one a line")
    return [*found, *(names or ())]


def own_encoder(params: Path) -> list[str]:
    """The text encoder that the project's own parameters name, if this is a project's folder."""
    try:
        values = yaml.safe_load(content_of(params, _LARGEST))
    except (OSError, ValueError, yaml.YAMLError, RecursionError):
        return []
    text = values.get("text") if isinstance(values, dict) else None
    return [str(text["encoder"])] if isinstance(text, dict) and "encoder" in text else []


def _predict(arguments: argparse.Namespace) -> "Prediction":
    classes = class_list(arguments.classes, arguments.names)
    leads = arguments.leads
    if leads is not None:  # "I II" or "Lead I,Lead II"
        leads = [name.strip() for name in leads.split(",")] if "," in leads else leads.split()
    if arguments.top < 0:
        raise UserError(f"--top {arguments.top}; give 0 for all, or how many")
    if arguments.plot and arguments.plot.suffix.lower() not in _PICTURES:
        raise UserError(f"{arguments.plot}: no kind of picture; name it {', '.join(_PICTURES)}")
    from kmerl.use.model import load  # torch takes seconds to import

    trusted = [*arguments.trust_encoder, *own_encoder(PARAMS)]
    return load(arguments.run, encoders=trusted).predict(
        arguments.record, leads, arguments.fs, classes, unit=arguments.unit, gain=arguments.gain,
        baseline=arguments.baseline, way=arguments.way, context=arguments.context, hop=arguments.hop,
        combine=arguments.combine, centre=arguments.centre,
    )  # fmt: skip


def _write(prediction: "Prediction", arguments: argparse.Namespace) -> None:
    """The files asked for, whole or not at all."""
    from kmerl.artifacts import for_spreadsheets, whole

    for path in (arguments.csv, arguments.plot):
        if path is None:
            continue
        try:
            with whole(path) as temporary:
                if path == arguments.csv:
                    for_spreadsheets(prediction.table).write_csv(temporary)
                else:
                    form = path.suffix.lower().removeprefix(".")
                    prediction.plot(arguments.top or len(prediction.classes)).savefig(temporary, format=form, dpi=150)
        except OSError as error:
            raise UserError(f"{path}: cannot be written ({error.strerror})") from None


if __name__ == "__main__":
    run(main)
