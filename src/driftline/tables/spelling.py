"""Numbers in the ways in which people write them, and what they write where there is none."""

import polars as pl

NULLS = (
    *("", "NA", "N/A", "n/a", "#N/A", "#NA", "<NA>", "NULL", "null", "(null)", "None", "nil", "\\N", "NaT", "-"),
    *("nan", "NaN", "NAN", "-nan", "-NaN", "#NULL!", "#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#NUM!"),
)
"""Written for a value that is not there, by R, pandas, databases and spreadsheets."""
NULLS_OF_NUMBERS = (
    "na",
    "null",
    "none",
    "nan",
    "nil",
    "n.a.",
    "n.a",
    "nd",
    "n.d.",
    "missing",
    "?",
    ".",
    "--",
    "\u2013",
    "\u2014",
)
"""Besides, in a column of numbers, in any case."""

_SPACES = "[\u0020\u00a0\u2007\u2009\u202f]"
_DECORATED = r"^(\()?([-+]?)\p{Sc}?\s*([-+]?)([0-9.,'\x{2019}_\s]+(?:[eE][-+]?[0-9]+)?)\s*\p{Sc}?\s*(%)?(-)?(\))?$"
_POINT = (
    r"^(?:\d{1,3}(?:(?:,\d{2,3})*,\d{3}|(?: \d{3})+|(?:'\d{3})+|(?:_\d{3})+)(?:\.\d*)?|\d+\.?\d*|\.\d+)(?:[eE].*)?$"
)
_COMMA = r"^(?:\d{1,3}(?:(?:\.\d{3})+|(?: \d{3})+|(?:'\d{3})+)(?:,\d*)?|\d+,?\d*|,\d+)(?:[eE].*)?$"
INTEGER = r"^[-+]?\d+$"
LONG_INTEGER = r"^[-+]?\d{16,}$"
LEADING_ZERO = r"^[+-]?0\d+$"


def written_out(text: pl.Expr, *, comma: bool) -> pl.Expr:
    """Return numbers in plain spelling, such as -1234.5e-2, from the ways in which people write them; else null.

    Understood are groups of digits (1,234.5; 1 234,5; 1'234), signs before, behind and as brackets, signs of currency
    and percentages: 12 % is 0.12.
    """
    plain = text.str.strip_chars().str.replace_all(_SPACES, " ").str.replace_all("\u2212", "-", literal=True)
    part = {
        name: plain.str.extract(_DECORATED, group).fill_null("")
        for group, name in enumerate(("open", "sign", "inner", "digits", "percent", "behind", "closed"), start=1)
    }
    digits = part["digits"].str.strip_chars().str.replace_all("\u2019", "'", literal=True)
    fits = digits.str.contains(_COMMA if comma else _POINT) & ((part["open"] == "(") == (part["closed"] == ")"))
    signs = part["sign"] + part["inner"] + part["behind"] + part["open"].str.replace("(", "-", literal=True)
    mantissa = digits.str.extract(r"^([^eE]*)", 1)
    exponent = digits.str.extract(r"[eE](.*)$", 1).fill_null("")
    if comma:
        mantissa = mantissa.str.replace_all(r"[.' ]", "").str.replace(",", ".", literal=True)
    else:
        mantissa = mantissa.str.replace_all(r"[,'_ ]", "")
    sign = pl.when(signs == "-").then(pl.lit("-")).otherwise(pl.lit(""))
    tail = (
        pl.when(exponent != "")
        .then("e" + exponent)
        .when(part["percent"] == "%")
        .then(pl.lit("e-2"))
        .otherwise(pl.lit(""))
    )
    sound = fits & (signs.str.len_chars() <= 1) & ~((exponent != "") & (part["percent"] == "%"))
    return pl.when(sound).then(sign + mantissa + tail)
