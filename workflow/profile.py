"""Switch ``params.yaml`` to a profile: ``python -m workflow.profile NAME``.

A profile, ``params/NAME.yaml``, holds only what differs from the demo. Mappings are laid over the demo's key by key,
and a key that the demo does not have is an error; everything else, and a mapping tagged ``!replace``, takes the place
of the demo's value.

The demo's values have one home: ``params.yaml`` or, while another profile is active, ``params/demo.yaml``, to which the
file is moved as it is; ``python -m workflow.profile demo`` moves it back.
"""

import difflib
import hashlib
import io
import sys
from collections.abc import Callable
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError

from kmerl import params
from kmerl.errors import UserError
from kmerl.naming import checked
from kmerl.yaml_file import parse, read_text, reason
from workflow.plan import refresh

PARAMS = Path("params.yaml")
PROFILES = Path("params")
DEMO = PROFILES / "demo.yaml"
HEADER = (
    "# Profile {name}, written by `python -m workflow.profile {name}` from params/demo.yaml and params/{name}.yaml."
)
DIGEST = "# Changed by hand if the rest has another digest than "


def overlay(base: CommentedMap, changes: CommentedMap, where: str) -> None:
    """Lay a profile's values over ``base``, whose comments stay.

    Args:
        base: changed in place.
        changes: the profile's mapping.
        where: the profile's file and the keys that led here, for messages.

    Raises:
        UserError: a key that ``base`` does not have, or a mapping where ``base`` has none and the other way round.
    """
    for key, value in changes.items():
        if key not in base:
            near = difflib.get_close_matches(str(key), map(str, base), n=1)
            raise UserError(f"{where}{key}: no such parameter" + (f"; did you mean {near[0]}?" if near else ""))
        if isinstance(value, CommentedMap) and isinstance(base[key], CommentedMap) and value.tag.value != "!replace":
            overlay(base[key], value, f"{where}{key}.")
        else:
            # a copy of a mapping is without its tag
            base[key] = CommentedMap(value.items()) if isinstance(value, CommentedMap) else value


def read(yaml: YAML, path: Path) -> CommentedMap:
    """A parameter file with its comments.

    Raises:
        UserError: there is none, it cannot be read, or is no YAML mapping.
    """
    if not path.exists():
        known = sorted({"demo", *(file.stem for file in PROFILES.glob("*.yaml"))})
        raise UserError(f"{path}: no such profile; there are {', '.join(known)}")
    try:
        values = parse(read_text(path), yaml)
    except (YAMLError, ValueError) as error:
        raise UserError(f"{path}: not valid YAML: {reason(error)}; correct it") from None
    if not isinstance(values, CommentedMap):
        raise UserError(f"{path}: holds no parameters")
    return values


def merged(name: str, base: Path) -> str:
    """The text of ``params.yaml`` under a profile, without its header."""
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 120
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.representer.add_representer(type(None), lambda to, _: to.represent_scalar("tag:yaml.org,2002:null", "null"))
    values = read(yaml, base)
    profile = PROFILES / f"{name}.yaml"
    overlay(values, read(yaml, profile), f"{profile}: ")
    text = io.StringIO()
    yaml.dump(values, text)
    return text.getvalue()


def digest(text: str) -> str:
    """A short hash of a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def check_untouched() -> None:
    """Refuse to overwrite what was changed by hand while a profile is active.

    Raises:
        UserError: it was.
    """
    header, second, rest = [*read_text(PARAMS).split("\n", 2), "", ""][:3]
    if second != DIGEST + digest(rest):
        raise UserError(
            f"{PARAMS} was changed by hand while a profile is active ({header.split(',')[0].strip('# ')}); "
            f"move the changes to its file in {PROFILES}/, delete {PARAMS} and switch again"
        )


def switch(name: str, check: Callable[[str], object] = str) -> None:
    """Make ``params.yaml`` that of a profile; ``demo`` restores it byte by byte.

    Args:
        name: of the profile.
        check: gets the new text, and refuses it if need be.

    Raises:
        UserError: there is no such profile, it has an unknown key or is refused, or ``params.yaml`` holds changes made
            by hand.
    """
    try:
        checked(name)
    except ValueError as error:
        raise UserError(f"{error}; a profile is a file in {PROFILES}/") from None
    if DEMO.exists() and PARAMS.exists():
        check_untouched()
    if name == "demo":
        if DEMO.exists():
            DEMO.replace(PARAMS)
        return
    text = merged(name, DEMO if DEMO.exists() else PARAMS)
    check(text)
    if not DEMO.exists():
        PARAMS.replace(DEMO)
    PARAMS.write_text(f"{HEADER.format(name=name)}\n{DIGEST}{digest(text)}\n{text}", "utf-8")


def main(argv: list[str]) -> int:
    """Returns the exit status: 0, or 1 after one line."""
    if len(argv) != 1:
        print("usage: python -m workflow.profile NAME", file=sys.stderr)
        return 2
    try:
        switch(argv[0], lambda text: params.check(YAML(typ="safe").load(text), f"{PARAMS} with the profile {argv[0]}"))
        refresh(params.check(YAML(typ="safe").load(PARAMS), str(PARAMS)))
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{PARAMS} is now that of the profile {argv[0]}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
