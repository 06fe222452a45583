"""The compiled reader: walks records along grammars, and writes their values straight into columns.

A record is literal pieces and values in turn. Where it is as a grammar foresees, its pieces are compared eight bytes at
a time and its values parsed in place; anything else (another field, a kind that the grammar does not know, an escape in
a name, a numeral that needs more care) ends the walk, and the record is read by the careful decoder.

    {"event_id":  "p-1"  ,"event_time":  "2026-…Z"  ,"model":"churn","features":{"age":  34  ,"city":  "Oslo"  }}
    └─ piece ──┘  passed └── piece ───┘    time     └──────────── piece ───────────────┘ number └piece┘ token  └end
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from driftline.columns.batch import NO_ID
from driftline.columns.times import BAD_TIME, LATEST, NO_TIME
from driftline.compiled import Bytes, address, byte_at, compiled, inlined, signed, word_at
from driftline.formats.speculation.identities import identity
from driftline.formats.speculation.scanning import (
    FAILED,
    QUOTE,
    any_end,
    moment,
    number_bits,
    numeral,
    plain_end,
    same,
)
from driftline.formats.speculation.tokens import (
    FALSE_TOKEN,
    LONGEST,
    NO_TOKEN,
    NULL_TOKEN,
    TRUE_TOKEN,
    TokenTable,
    enter,
    find,
)
from driftline.sketches.keys import Floats, Ints

PASSED, TIME, VALUE, CODE, ID = range(5)
"""A field's role: only checked; the event's time; a value; a text that stands for a version or a segment; its id."""
ROLE, KINDS, NUMBER, STRING, BOOLEAN, SEVERAL, NULL = range(7)
"""What `Grammars.fields` has of a field: its role; the kinds that it may have (bits); the column of
a VALUE's numbers, strings (a CODE's texts) and booleans, negative where it may have none; whether it has several of
these columns; whether null may stand there."""
NUMBERS, STRINGS, BOOLEANS = 1, 2, 4
"""Bits of KINDS."""

_U = np.uint64
_BLANK, _T, _F, _N = b" tfn"
_MODEL, _TRUE, _FALSE, _NULL = (
    _U(int.from_bytes(text, "little")) for text in (b'"model":', b"true", b"false", b"null")
)
_FOUR, _FIVE = _U(2**32 - 1), _U(2**40 - 1)
_NAN = int(np.array([np.nan]).view(np.int64)[0])
_GREATEST = _U(2**63 - 1)
_MAX_EXPONENT = 280


class Grammars(NamedTuple):
    """All models' grammars. A state is "this field was read"; a grammar's states are in the order of its fields."""

    first: NDArray[np.int32]
    """A model's first grammar by the token of its name; -1 where it has none."""
    following: Ints
    """The model's next grammar, by grammar; -1 after the last."""
    starts: Ints
    """The state before the first field, by grammar."""
    fields: NDArray[np.int32]
    """Shape (states, 7), see ROLE; a negative role is the end, and the last state of a grammar."""
    edges_from: Ints
    """Where the edges of each state begin, and the end of the last."""
    edges: Ints
    """Shape (edges, 3): where the piece begins, its size, and the state that follows."""
    pieces: Bytes


class WalkedRecords(NamedTuple):
    """What is found, by row."""

    taken: Ints
    """The grammar that a record followed; -1 where it followed none, and then the rest is anything."""
    times: Ints
    ids: Ints
    numbers: Floats
    """Shape (columns, rows): +inf is missing, NaN is null."""
    tokens: Ints
    """The same memory as `numbers`: NO_TOKEN is missing."""


@compiled
def walk(text: Bytes, bounds: Ints, first: int, grammars: Grammars, table: TokenTable, found: WalkedRecords) -> None:
    """Read the records that begin at `bounds` (their end is its last) into the rows from `first` on."""
    firsts, following, starts, fields, edges_from, edges, _ = grammars
    taken, times, ids, numbers, tokens = found
    text_at, pieces_at = address(text), address(grammars.pieces)
    slots_at, spans_at, held_at = address(table.slots), address(table.spans), address(table.held)
    hint = 0
    for record in range(len(bounds) - 1):
        row = first + record
        taken[row] = -1
        begin, stop = text_at + bounds[record], text_at + bounds[record + 1]
        place = _after_model(begin, stop, hint)
        if place == FAILED:
            continue
        hint = place - begin
        end = plain_end(place, stop)
        if end == FAILED or end - place > LONGEST:
            continue
        model, _ = find(place, end - place, slots_at, spans_at, held_at)
        if model < 0:
            continue
        grammar = signed(firsts[model])
        while grammar >= 0:
            at, state = begin, starts[grammar]
            times[row], ids[row] = NO_TIME, NO_ID
            while True:
                edge, last = edges_from[state], edges_from[state + 1]
                while edge < last:
                    size = edges[edge, 1]
                    if at + size <= stop and same(at, pieces_at + edges[edge, 0], size):
                        break
                    edge += 1
                if edge == last:
                    at = FAILED
                    break
                at += size
                after = edges[edge, 2]
                for left_out in range(state + 1, after):
                    _leave_out(fields, left_out, row, numbers, tokens)
                state = after
                role = fields[state, ROLE]
                if role < 0:
                    break
                byte = byte_at(at)
                if role == TIME:
                    at, times[row] = _time(at, stop)
                elif role == ID:
                    at, ids[row] = _id(at, stop)
                elif role == PASSED:
                    at = _pass(at, stop, fields[state, KINDS], fields[state, NULL])
                else:
                    start = at
                    column = fields[state, NUMBER]
                    token = -1
                    if role == CODE or byte == QUOTE:
                        column = fields[state, STRING]
                        if role == CODE:
                            at = _pass(at, stop, fields[state, KINDS], fields[state, NULL])
                            plain = True
                        else:
                            at, plain = _string(at, stop)
                        if at != FAILED and at <= stop and at - start <= LONGEST:
                            token, slot = find(start, at - start, slots_at, spans_at, held_at)
                            if token < 0:
                                token = enter(start, at - start, slot, plain, table)
                        if token < 0:
                            at = FAILED
                    elif byte == _N:
                        at = at + 4 if fields[state, NULL] and word_at(at) & _FOUR == _NULL else FAILED
                        token = NULL_TOKEN
                        if column >= 0:
                            token = _NAN
                        elif fields[state, STRING] >= 0:
                            column = fields[state, STRING]
                        else:
                            column = fields[state, BOOLEAN]
                    elif byte == _T or byte == _F:  # noqa: SIM109 (a tuple is slower)
                        column = fields[state, BOOLEAN]
                        at = _word_end(at, byte)
                        token = TRUE_TOKEN if byte == _T else FALSE_TOKEN
                    else:
                        at, token = number_bits(at, stop) if fields[state, KINDS] & NUMBERS else (FAILED, 0)
                    if column < 0 or at == FAILED:
                        at = FAILED
                        break
                    if fields[state, SEVERAL]:
                        _leave_out(fields, state, row, numbers, tokens)
                    tokens[column, row] = token
                if at == FAILED or at > stop:
                    at = FAILED
                    break
            if at == stop:
                taken[row] = grammar
                break
            grammar = following[grammar]


@inlined
def _after_model(begin: int, stop: int, hint: int) -> int:
    """Return where the string after `"model":` begins, or FAILED. `hint` is where it began in the record before."""
    at = begin + hint - 8
    if at < begin or at + 8 >= stop or word_at(at) != _MODEL:
        at = begin
        while at + 8 < stop and (byte_at(at) != QUOTE or word_at(at) != _MODEL):
            at += 1
    at += 8
    while at < stop and byte_at(at) == _BLANK:
        at += 1
    return at if at < stop and byte_at(at) == QUOTE else FAILED


@inlined
def _leave_out(fields: NDArray[np.int32], state: int, row: int, numbers: Floats, tokens: Ints) -> None:
    """Mark as missing what a field's columns hold of this row."""
    if fields[state, NUMBER] >= 0:
        numbers[fields[state, NUMBER], row] = np.inf
    if fields[state, STRING] >= 0:
        tokens[fields[state, STRING], row] = NO_TOKEN
    if fields[state, BOOLEAN] >= 0:
        tokens[fields[state, BOOLEAN], row] = NO_TOKEN


@inlined
def _string(at: int, stop: int) -> tuple[int, bool]:
    """Return (position after a string or FAILED, whether it is ASCII without escapes)."""
    end = plain_end(at, stop)
    if end != FAILED:
        return end, True
    return any_end(at, stop), False


@inlined
def _word_end(at: int, byte: int) -> int:
    """Return the position after `true` or `false`, or FAILED."""
    if byte == _T:
        return at + 4 if word_at(at) & _FOUR == _TRUE else FAILED
    return at + 5 if word_at(at) & _FIVE == _FALSE else FAILED


@inlined
def _time(at: int, stop: int) -> tuple[int, int]:
    """Return (position after an event's time or FAILED, the time)."""
    if byte_at(at) == QUOTE:
        size = 24 if byte_at(at + 25) == QUOTE else 20
        time = moment(at + 1, size)
        return (at + size + 2, time) if time != BAD_TIME and byte_at(at + size + 1) == QUOTE else (FAILED, BAD_TIME)
    end, negative, digits, _, whole = numeral(at, stop)
    if end == FAILED or negative or not whole or digits > _U(LATEST):
        return FAILED, BAD_TIME
    return end, signed(digits)


@inlined
def _id(at: int, stop: int) -> tuple[int, int]:
    """Return (position after an event's id or FAILED, its number)."""
    byte = byte_at(at)
    if byte == QUOTE:
        end = plain_end(at, stop)
        return (FAILED, NO_ID) if end == FAILED else (end, identity(at + 1, end - at - 2))
    if byte == _N:
        return (at + 4, NO_ID) if word_at(at) & _FOUR == _NULL else (FAILED, NO_ID)
    end, negative, digits, _, whole = numeral(at, stop)
    if end == FAILED or negative or not whole or digits > _GREATEST:  # the careful decoder writes it in one way
        return FAILED, NO_ID
    return end, identity(at, end - at)


@inlined
def _pass(at: int, stop: int, kinds: int, null: int) -> int:
    """Return the position after a value of one of these kinds, or FAILED."""
    byte = byte_at(at)
    if byte == QUOTE:
        return plain_end(at, stop) if kinds & STRINGS else FAILED
    if byte == _N:
        return at + 4 if null and word_at(at) & _FOUR == _NULL else FAILED
    if byte == _T or byte == _F:  # noqa: SIM109 (a tuple is slower)
        return _word_end(at, byte) if kinds & BOOLEANS else FAILED
    end, _, digits, exponent, whole = numeral(at, stop)
    if not kinds & NUMBERS or exponent > _MAX_EXPONENT or (whole and digits > _GREATEST):
        return FAILED
    return end
