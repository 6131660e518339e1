"""What all pages share: one HTML file each that fetches nothing, its style and script inside."""

from collections.abc import Iterable
from importlib.resources import files

from jinja2 import DictLoader, Environment, StrictUndefined

from kmerl.escapes import printable
from kmerl.page.grid import count, signed

_SHARED = ("base.html", "grid.html", "style.css", "script.js")


def render_page(template: str, **context: object) -> str:
    """The HTML; equal contexts give equal text. Whatever comes from data is escaped.

    Args:
        template: name of one that extends ``base.html``; it needs ``mark``, what its title says of the data, and
            ``notice``, what the data are if they are simulated.
        **context: what the template names.
    """
    folder = files("kmerl.page").joinpath("templates")
    sources = {name: folder.joinpath(name).read_text("utf-8") for name in (*_SHARED, template)}
    environment = Environment(
        loader=DictLoader(sources), autoescape=True, finalize=_shown, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["count"] = count
    environment.filters["signed"] = signed
    return environment.get_template(template).render(context)


def mark(shown: Iterable[str], learnt: Iterable[str] = ()) -> str:
    """What a page's title says of its data; nothing where all of them were recorded.

    Args:
        shown: origins of what is shown or scored.
        learnt: of what was learnt from.
    """
    origins, others = {*shown}, {*learnt}
    if origins == {"simulated"}:
        return "simulated data"
    if "simulated" in origins:
        return "partly simulated data"
    return "recorded data, trained on simulated ones" if "simulated" in others else ""


def _shown(value: object) -> object:
    """A value as the page shows it: of a text, also what HTML cannot hold and what would turn its direction."""
    return printable(value, "\n\t") if type(value) is str else value  # markup is no plain text
