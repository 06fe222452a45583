"""Loops that numpy cannot express, compiled to machine code by numba at their first use and kept (`cache`).

What is compiled is a plain function over arrays and numbers: no objects, no memory but its arguments', no GIL.
Small functions are given addresses and not arrays, for each array that is passed on has its references counted.
`byte_at` and `word_at` check no bounds: their callers keep room behind what they read. All of these are for compiled
functions only.
"""

from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar, cast

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from driftline.compiled.cache import keep

Function = TypeVar("Function", bound=Callable[..., Any])
Bytes: TypeAlias = NDArray[np.uint8]
Word: TypeAlias = np.uint64
signed = cast(Callable[[Any], int], np.int64)
"""An int64. Numba makes a float64 of an int64 and a uint64 together, so words and counts are kept apart."""


def compiled(function: Function) -> Function:
    """Compile a function when it is first called."""
    dispatcher = njit(nogil=True)(function)
    keep(dispatcher)
    return cast(Function, dispatcher)


def inlined(function: Function) -> Function:
    """Compile a small function into those that call it."""
    return cast(Function, njit(nogil=True, forceinline=True)(function))


def _loads(width: int) -> Any:
    """Return the implementation of a load of so many bits from an address."""

    def load(typing_context: Any, address: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            kind = ir.IntType(width)
            found = builder.load(builder.inttoptr(arguments[0], kind.as_pointer()), align=1)
            if width == 64:
                return found
            return (builder.zext if width == 8 else builder.sext)(found, ir.IntType(64))

        return (types.uint64 if width == 64 else types.int64)(types.int64), generate

    return load


def _bits_of(typing_context: Any, number: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.IntType(64))

    return types.int64(types.float64), generate


def _number_of(typing_context: Any, bits: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.DoubleType())

    return types.float64(types.int64), generate


byte_at = cast(Callable[[int], int], intrinsic(_loads(8)))
"""Return the byte at an address."""
half_at = cast(Callable[[int], int], intrinsic(_loads(32)))
"""Return the int32 at an address."""
word_at = cast(Callable[[int], Word], intrinsic(_loads(64)))
"""Return the eight bytes from an address on, the first one lowest."""
bits_of = cast(Callable[[float], int], intrinsic(_bits_of))
"""Return the bits of a float."""
number_of = cast(Callable[[int], float], intrinsic(_number_of))
"""Return the float that has these bits."""


@inlined
def address(array: NDArray[Any]) -> int:
    """Return where an array's elements are."""
    return signed(array.ctypes.data)
