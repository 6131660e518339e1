"""Texts from outside (reports, names, answers, paths) as every kind of output can hold them: text, never more.

What is written here reads as it was meant: nothing in it is markup, a formula, a command to the terminal, or a line of
its own.
"""

import re
from unicodedata import category

_JOINERS = "\u200c\u200d"  # without width; words of some scripts need them
_ACTIVE = re.compile(  # what Markdown, as GitHub and the report page read it, would not show as it is
    r"""\\(?=[!-/:-@\[-`{-~]|$)   # makes the next sign a plain one
    | [`*<|~$\#]
    | (?!(?<=.)\[[^\[\]\\]*\][^(\[:])\[ | \](?![^(\[:])  # a pair that can be no link is plain
    | (?<![^\W_])_ | _(?![^\W_])  # within a word it is plain
    | &(?=\#?\w+;)
    """,
    re.VERBOSE,
)
_BLOCK = re.compile(r"^([0-9]{1,9}(?=[.)](?: |$))|(?=[-+=>:]))")  # how lists, quotes and the like begin
_BLANK = r"\s\x00-\x20\x7f-\xa0\xad\u200b-\u200f\u2028-\u202f\u2060-\u206f\ufeff"
_FORMULA = re.compile(rf"'*(?:[\t\r]|[{_BLANK}]*[=+\-@＝＋－＠])")
_NO_FORMULA = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|-+")  # numbers, and dashes alone


def printable(text: str, keep: str = "") -> str:
    r"""A text for the terminal, in which nothing hides, moves the cursor or turns the direction: ``\x1b``, ``\u202e``.

    Args:
        text: any, bytes that are no text (surrogates) too.
        keep: control characters that stay, such as a line end.
    """
    if text.isprintable():
        return text
    return "".join(one if _harmless(one, keep) else one.encode("unicode_escape").decode() for one in text)


def _harmless(one: str, keep: str) -> bool:
    return one.isprintable() or one in keep or one in _JOINERS or category(one) == "Zs"


def screen(text: str) -> str:
    """Lines for the terminal: :func:`printable`, line by line."""
    return printable(text, "\n")


def one_line(text: str) -> str:
    """A text in one line, blanks joined, :func:`printable`."""
    return printable(" ".join(text.split()))


def md(text: str, begins: bool = True) -> str:
    r"""A text as Markdown that shows it in one line, in a table too: ``a \| b``, ``\<br>``.

    Args:
        text: any.
        begins: whether a line may begin with it.
    """
    plain = _ACTIVE.sub(r"\\\g<0>", one_line(text))
    return _BLOCK.sub(r"\1\\", plain) if begins else plain


def md_code(name: str) -> str:
    """A name as code; one that code cannot hold, as text."""
    text = md(name)
    return f"`{name}`" if name and text == name else text


def csv_cell(text: str) -> str:
    """A text as a cell that no spreadsheet takes for a formula: an apostrophe goes before one.

    Numbers stay, and dashes with nothing after them.

    :func:`csv_text` gives the text back, whatever it is.
    """
    if text[:1].isalnum() or not _FORMULA.match(text) or _NO_FORMULA.fullmatch(text):
        return text
    return f"'{text}"


def csv_text(cell: str) -> str:
    """The text of a cell that :func:`csv_cell` made."""
    return cell[1:] if cell[:1] == "'" and _FORMULA.match(cell) else cell
