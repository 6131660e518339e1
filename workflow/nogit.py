"""Let DVC work in a folder without git: ``python -m workflow.nogit``; where there is git, it does nothing.

DVC refuses to start without git unless its configuration says so, before anything of ours runs. An archive made by git
(a zip from a hosting service) says it already: ``.dvc/config`` has a line that git fills in there. For any other copy
``make`` and Snakemake do what this module does; by hand, ``dvc config --local core.no_scm true`` does the same.
"""

from pathlib import Path

LOCAL = Path(".dvc/config.local")


def without_git() -> None:
    """Tell DVC if there is no git here or above; what the user configured stays."""
    here = Path.cwd()
    if not LOCAL.exists() and not any((folder / ".git").exists() for folder in [here, *here.parents]):
        LOCAL.write_text("[core]\n    no_scm = true\n", "utf-8")


if __name__ == "__main__":
    without_git()
