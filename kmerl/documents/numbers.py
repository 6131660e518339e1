"""How a number looks, wherever people read it."""

from kmerl.documents import Count, Decimal, Difference, Estimate, Interval, Number, Part

NOTHING = "–"


def count(number: int) -> str:
    """A count: 12,345."""
    return f"{number:,}"


def decimal(number: float, digits: int = 3) -> str:
    """A number with so many decimals: 0.712 or −0.123."""
    return f"{number:.{digits}f}".replace("-", "−")


def signed(number: float, digits: int = 3) -> str:
    """A difference, always with its sign: +0.123 or −0.123."""
    return f"{number:+.{digits}f}".replace("-", "−")


def share(part: int, whole: int) -> str:
    """A share in percent; a little is never nothing, and almost all never all."""
    if not whole:
        return NOTHING
    percent = 100 * part / whole
    if 0 < percent < 0.05:
        return "<0.1%"
    return ">99.9%" if 99.95 <= percent < 100 else f"{percent:.1f}%"


def shown(number: Number | None) -> str:
    """A cell: 0.712 [0.65, 0.77] ± 0.012, or +0.051 [+0.02, +0.08]; what is not known is left out."""
    match number:
        case None:
            return NOTHING
        case Count(many):
            return count(many)
        case Part(part, whole):
            return f"{count(part)} ({share(part, whole)})" if part else "0"
        case Decimal(value, digits, is_signed):
            return (signed if is_signed else decimal)(value, digits)
        case Estimate(value, low, high, spread):
            ends = "" if low is None or high is None else f" [{decimal(low, 2)}, {decimal(high, 2)}]"
            return decimal(value) + ends + ("" if spread is None else f" ± {decimal(spread)}")
        case Difference(value, _, low, high):
            ends = "" if low is None or high is None else f" [{signed(low, 2)}, {signed(high, 2)}]"
            return signed(value) + ends
        case Interval(low, high):
            return f"[{signed(low)}, {signed(high)}]"


def stands_out(number: Number) -> bool:
    """Whether a cell is bold."""
    return isinstance(number, Difference) and number.clear
