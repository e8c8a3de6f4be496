"""Numbers as people read them: the one spelling of pages, tables and sentences."""

import math

_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float | int | None, digits: int = 4) -> str:
    """A number in some significant digits, with a power of ten where it is very large or small.

    >>> number(0.123456), number(12), number(1234567), number(-0.0000123), number(None)
    ('0.1235', '12', '1,234,567', '−1.23 × 10⁻⁵', '–')
    >>> number(1e-5, 1), number(5.5e-15, 2)
    ('1 × 10⁻⁵', '5.5 × 10⁻¹⁵')
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, float) and math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if float(value).is_integer() and abs(value) < 1e9:
        return f"{int(value):,}".replace("-", "−")
    size = abs(value)
    if size < 1e-3 or size >= 1e6:
        mantissa, exponent = f"{value:.{min(digits, 3) - 1}e}".split("e")
        return f"{mantissa.replace('-', '−')} × 10{str(int(exponent)).translate(_SUPERSCRIPT)}"
    decimals = max(0, digits - 1 - math.floor(math.log10(size)))
    shown = f"{value:,.{decimals}f}"
    shown = shown.rstrip("0").rstrip(".") if "." in shown else shown
    return shown.replace("-", "−")


def amount(value: float | None, unit: str = "") -> str:
    """A number with its unit in a sentence or a cell: three digits, "–" for none.

    >>> amount(0.12345), amount(3428.57, "Hz"), amount(-7.35e-5, "s.d."), amount(None, "Hz")
    ('0.123', '3,429 Hz', '−7.35 × 10⁻⁵ s.d.', '–')
    """
    if value is None or math.isnan(value):
        return "–"
    return f"{number(value, 3)} {unit}".strip()
