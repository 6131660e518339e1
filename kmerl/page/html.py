"""What all pages share: one HTML file each that fetches nothing, its style and script inside."""

from importlib.resources import files

from jinja2 import DictLoader, Environment, StrictUndefined

from kmerl.documents.html import grid
from kmerl.documents.numbers import count, decimal, share, signed
from kmerl.escapes import printable

_SHARED = ("base.html", "style.css", "script.js")


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
    environment.filters |= {"count": count, "decimal": decimal, "signed": signed}
    environment.globals |= {"grid": grid, "share": share}
    return environment.get_template(template).render(context)


def _shown(value: object) -> object:
    """A value as the page shows it: of a text, also what HTML cannot hold and what would turn its direction."""
    return printable(value, "\n\t") if type(value) is str else value  # markup is no plain text
