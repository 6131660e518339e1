"""A document as HTML."""

from markupsafe import Markup, escape

from kmerl.documents import (
    Block,
    Bold,
    Cell,
    Code,
    Document,
    Grid,
    Heading,
    Items,
    Listing,
    Paragraph,
    Part,
    Span,
    Text,
    spans,
)
from kmerl.documents.numbers import shown, stands_out
from kmerl.escapes import printable

_SHORT = 25  # characters of a cell that stays in one line


def html(document: Document) -> Markup:
    """The document without its title, which stands in the page's own words; headings are below the page's."""
    notice = [Paragraph(document.notice)] if document.notice else []
    return Markup("\n").join(map(block, [*notice, *document.blocks]))


def block(one: Block) -> Markup:
    """A block."""
    match one:
        case Heading(heading):
            return Markup("<h4>{}</h4>").format(text(heading))
        case Paragraph(paragraph):
            return Markup("<p>{}</p>").format(text(paragraph))
        case Items(items, of):
            before = Markup("<p>{}</p>\n").format(text(of)) if of else ""
            listed = Markup("\n").join(Markup("<li>{}</li>").format(text(item)) for item in items)
            return Markup("{}<ul>\n{}\n</ul>").format(before, listed)
        case Listing(listing):
            return Markup("<pre><code>{}</code></pre>").format(printable(listing, "\n\t"))
        case Grid():
            return grid(one)


def grid(one: Grid, kind: str = "") -> Markup:
    """A grid that scrolls by itself; ``kind``: a class of its table."""
    numbers = [Markup(' class="number"') if i in one.right else "" for i in range(len(one.header))]
    head = Markup("").join(
        Markup('<th scope="col"{}>{}</th>').format(number, text(name))
        for number, name in zip(numbers, one.header, strict=True)
    )
    rows = Markup("\n").join(
        Markup("<tr>{}</tr>").format(Markup("").join(_cell(*each) for each in zip(row, numbers, strict=True)))
        for row in one.rows
    )
    named = Markup(' class="{}"').format(kind) if kind else ""
    return Markup(
        '<div class="scroll" tabindex="0"><table{}>\n<thead><tr>{}</tr></thead>\n<tbody>\n{}\n</tbody>\n</table></div>'
    ).format(named, head, rows)


def _cell(one: Cell, number: str) -> Markup:
    content = cell(one)
    short = Markup(' class="short"') if not number and len(content.striptags()) < _SHORT else ""
    return Markup("<td{}>{}</td>").format(number or short, content)


def cell(one: Cell) -> Markup:
    """What stands in a grid; of a part that is to be drawn, a bar under the number."""
    if isinstance(one, str | Code | Bold | list):
        return text(one)
    content = escape(shown(one))
    if isinstance(one, Part) and one.bar:
        percent = 100 * one.part / max(one.whole, 1)
        bar = Markup('<span class="share" aria-hidden="true"><i style="width:{:.2f}%"></i></span>').format(percent)
        return content + bar
    return Markup("<strong>{}</strong>").format(content) if one is not None and stands_out(one) else content


def text(one: Text) -> Markup:
    """A text, escaped, without what HTML cannot hold and what would turn its direction."""
    return Markup("").join(_span(span) for span in spans(one))


def _span(span: Span) -> Markup:
    match span:
        case Code(name):
            return Markup("<code>{}</code>").format(printable(name, "\n\t"))
        case Bold(inner):
            return Markup("<strong>{}</strong>").format(text(inner))
    return escape(printable(span, "\n\t"))
