"""The one exception that a user's mistake or an unusable input raises."""

from kmerl.escapes import printable


class UserError(Exception):
    """Something only the user can mend; its message is one line: what, where, what to do.

    Programs catch it and print that line without a traceback. It may quote anything: names, paths, answers.
    """

    def __str__(self) -> str:
        return printable(super().__str__())
