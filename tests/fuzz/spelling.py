"""JSON numbers and strings as they can be written: the same value in many ways, hard values, and near misses."""

import json
import math
import random
import struct
from decimal import Decimal, localcontext
from fractions import Fraction

EDGES = (
    *("0", "-0", "0.0", "-0.0", "0e0", "-0E+5", "0e999999", "0.0e-999999", "1", "-1", "10", "1.0", "1E5", "1e+05"),
    *("0.1e+2", "1e-400", "-1e-400", "1e-999999999999", "4.9e-324", "5e-324", "2.4703282292062327e-324"),
    *("2.4703282292062328e-324", "2.2250738585072011e-308", "2.2250738585072014e-308", "1.7976931348623157e308"),
    *("1.7976931348623158e308", "1.797693134862315807e308", "9007199254740991", "9007199254740992", "9007199254740993"),
    *(
        "-9007199254740993",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775808",
        "18446744073709551615",
    ),
    *("18446744073709551616", "99999999999999999999", "0." + "0" * 330 + "1", "1" + "0" * 308, "1" + "0" * 22 + "e-22"),
    *("0.1", "0.30000000000000004", "123456789012345678", "12345678901234567890", "1.00000000000000011102230246251565"),
    *(
        "8.5e15",
        "0.000001",
        "1e22",
        "1e23",
        "9.5e-7",
        "179769313486231580793728971405301e276",
        "1e0000000000000000000001",
    ),
)
BEYOND = ("1e309", "-1e309", "1e400", "1.7976931348623159e308", "1" + "0" * 309, "-" + "9" * 400, "1" + "0" * 5_000)
"""Numbers in form, out of a float's range."""
MISSPELT = (
    *(
        "01",
        "-01",
        "00",
        "-",
        "1.",
        ".5",
        "-.5",
        "+1",
        "1e",
        "1e+",
        "1.e5",
        "1e5.5",
        "1e-",
        "--1",
        "0x10",
        "1_000",
        "1 2",
    ),
    *(
        "NaN",
        "Infinity",
        "-Infinity",
        "nan",
        "1f",
        "1,5",
        "1..2",
        "1e1e1",
        "00.5",
        "-00",
        "1.5.",
        "1-1",
        "٣",
        "1\u00a0",
    ),
    *("true1", "tru", "True", "nulll", "nul", "'a'", "undefined", "", '"', '"a', 'a"', "1\x00", "\x001", "1/**/"),
)


def number(chance: random.Random, token: str) -> str:
    """Return a number: this one spelled otherwise, or one that is hard to read."""
    kind = chance.random()
    if kind < 0.45:
        return respelled(chance, token)
    if kind < 0.65:
        return chance.choice(EDGES)
    if kind < 0.80:
        return digits(chance)
    if kind < 0.95:
        return halfway(chance)
    return chance.choice(BEYOND)


def respelled(chance: random.Random, token: str) -> str:
    """Return the same value (or, with few digits asked for, a near one) in another form."""
    value = float(token)
    form = chance.randrange(7)
    if form == 0 or not math.isfinite(value):
        return repr(value) if math.isfinite(value) else token
    if form == 1:
        return f"{value:.{chance.randrange(25)}{chance.choice('eE')}}"
    if form == 2:
        return f"{value:.{chance.randrange(30)}f}"
    if form == 3:
        return f"{value:.17g}"
    if form == 4:  # the point moved, the exponent moved back
        shift = chance.randrange(-30, 31)
        sign, figures, exponent = Decimal(repr(value)).as_tuple()
        assert isinstance(exponent, int)
        power = exponent + shift
        text = _shifted("".join(map(str, figures)), shift)
        plus = chance.choice(("", "+")) if power >= 0 else "-"
        return f"{'-' * sign}{text}{chance.choice('eE')}{plus}{'0' * chance.randrange(3)}{abs(power)}"
    if form == 5:
        text = repr(value)
        return text if "e" in text else text + "0" * chance.randrange(1, 40)
    return f"{Decimal(value):f}"[:800]


def _shifted(figures: str, shift: int) -> str:
    """Return the digits with the point `shift` places from their end."""
    if shift <= 0:
        return (figures.lstrip("0") or "0") + "0" * -shift if figures.strip("0") else "0"
    padded = figures.rjust(shift + 1, "0")
    whole, part = padded[:-shift], padded[-shift:]
    return f"{whole.lstrip('0') or '0'}.{part}"


def digits(chance: random.Random) -> str:
    """Return a number of many random digits."""
    whole = str(chance.getrandbits(chance.choice((1, 8, 31, 53, 63, 64, 66, 100))))
    text = chance.choice(("", "-")) + whole
    if chance.random() < 0.7:
        text += "." + "".join(chance.choices("0123456789", k=chance.randrange(1, 30)))
    if chance.random() < 0.5:
        text += chance.choice(("e", "E")) + chance.choice(("", "+", "-")) + str(chance.randrange(0, 330))
    return text


def halfway(chance: random.Random) -> str:
    """Return the decimal form of a point halfway between two floats, or just beside it: where rounding goes wrong."""
    bits = chance.getrandbits(63)
    if chance.random() < 0.7:  # of a size that data has
        bits = (chance.randrange(1023 - 60, 1023 + 60) << 52) | chance.getrandbits(52)
    low, high = (struct.unpack("<d", struct.pack("<Q", bits + step))[0] for step in (0, 1))
    if not (math.isfinite(low) and math.isfinite(high)):
        return repr(low) if math.isfinite(low) else "1e308"
    middle = (Fraction(low) + Fraction(high)) / 2
    with localcontext() as context:
        context.prec = 800
        exact = Decimal(middle.numerator) / Decimal(middle.denominator)
        kept = chance.choice((17, 18, 19, 20, 25, 40, 800))
        text = f"{exact:.{kept - 1}e}" if kept < 800 else f"{exact:e}"
    figures, exponent = text.split("e")
    beside = chance.randrange(3)
    if beside == 1:
        figures += "." * ("." not in figures) + "0" * chance.randrange(0, 20) + "1"
    if beside == 2 and figures[-1] not in "0.":
        figures = figures[:-1] + str(int(figures[-1]) - 1)
    if chance.random() < 0.3 and -30 < int(exponent) < 30:
        return f"{Decimal(figures).scaleb(int(exponent)):f}"
    return f"{figures}{chance.choice('eE')}{exponent}"


TEXTS = (
    *(
        "",
        " ",
        "a",
        "Oslo",
        "e\u0301",
        "é",
        "日本語",
        "😀",
        "👩‍👩‍👧",
        "\u202e",
        "\ufeff",
        "\u2028",
        "\x7f",
        "\x80",
        "\ufffd",
    ),
    *(
        "null",
        "true",
        "1",
        "NaN",
        '"',
        "\\",
        "\\\\",
        '\\"',
        "/",
        "\b\f\n\r\t",
        "\x00",
        "\x1f",
        '","x":1,"y":"',
        "}",
        "{",
    ),
    *(
        "a" * 7,
        "a" * 8,
        "a" * 15,
        "a" * 16,
        "a" * 17,
        "a" * 63 + '"',
        "é" * 40,
        "x" * 300,
        "\U0010ffff",
        "\ud7ff",
        "\ue000",
    ),
)
BROKEN_STRINGS = (
    *(b'"\\ud800"', b'"\\udc00\\ud800"', b'"\\ud83d\\u0041"', b'"\\u12"', b'"\\x41"', b'"\\u00g0"', b'"\\"', b'"a\nb"'),
    *(b'"\x00"', b'"\x1f"', b'"\x7f"', b'"\xff"', b'"\xc0\x80"', b'"\xed\xa0\x80"', b'"\xf4\x90\x80\x80"', b'"\xc3"'),
    *(b'"\xe2\x82"', b'"aaaaaaa\xc3"', b'"aaaaaaaaaaaaaaaa\x80aaa"', b"'a'", b'"\\U0041"', b'"\\u004"', b'"tab\there"'),
)


def string(chance: random.Random, token: bytes) -> bytes:
    """Return a string as JSON: this one spelled otherwise, or one that is hard to read."""
    kind = chance.random()
    if kind < 0.1:
        return chance.choice(BROKEN_STRINGS)
    if kind < 0.4:
        return spelled(chance, chance.choice(TEXTS))
    if kind < 0.5:
        return spelled(chance, "".join(chr(_code_point(chance)) for _ in range(chance.randrange(20))))
    return spelled(chance, json.loads(token))


def _code_point(chance: random.Random) -> int:
    most = chance.choice((0x7F, 0xFF, 0x7FF, 0xFFFF, 0x10FFFF))
    point = chance.randrange(most + 1)
    return point if not 0xD800 <= point < 0xE000 else 0x41


_SHORT = {'"': '\\"', "\\": "\\\\", "/": "\\/", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def spelled(chance: random.Random, text: str) -> bytes:
    """Return JSON for this text, with more or fewer of its characters escaped."""
    share = chance.choice((0.0, 0.1, 1.0))
    pieces = []
    for character in text:
        must = character in '"\\' or character < " "
        if not must and chance.random() >= share:
            pieces.append(character)
        elif character in _SHORT and (chance.random() < 0.5):
            pieces.append(_SHORT[character])
        else:
            form = "{:04x}" if chance.random() < 0.5 else "{:04X}"
            units = character.encode("utf-16-be", "surrogatepass")
            pieces += [f"\\u{form.format(int.from_bytes(units[at : at + 2]))}" for at in range(0, len(units), 2)]
    return ('"' + "".join(pieces) + '"').encode("utf-8", "surrogatepass")
