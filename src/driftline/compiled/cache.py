"""Where machine code is kept between runs.

numba's own cache would serve a function whose callees in other files have changed, and asks for a writable directory
even to read. So here code is kept under a stamp of all sources that are compiled, beside them where that was or can be
written (an image compiles at build time), and else in the user's cache.
"""

import os
import tempfile
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, cast

from numba.core.caching import CompileResultCacheImpl, FunctionCache, _CacheLocator
from numba.core.runtime.nrt import rtsys

_PACKAGE = Path(__file__).parents[1]
_SOURCES = ("compiled", "evidence", "formats/speculation", "columns/batch.py", "columns/times.py", "sketches")
"""What compiled code, and the constants in it, come from."""


@cache
def stamp() -> str:
    """Return a digest of the sources that are compiled."""
    digest = blake2b(digest_size=8)
    for place in _SOURCES:
        path = _PACKAGE / place
        for source in sorted(path.glob("*.py")) if path.is_dir() else [path]:
            digest.update(source.read_bytes())
    return digest.hexdigest()


@cache
def directory() -> Path | None:
    """Return where compiled code is kept, None where nothing can be written."""
    beside = _PACKAGE / "__pycache__" / f"compiled-{stamp()}"
    user = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "driftline" / beside.name
    return next((path for path in (beside, user) if path.is_dir() or _can_make(path)), None)


def kept() -> bool:
    """Return whether code of these sources is there: else it is compiled at its first use, which takes a while."""
    place = directory()
    return place is not None and any(place.glob("*.nbi"))


def _can_make(path: Path) -> bool:
    try:
        path.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path).close()
    except OSError:
        return False
    return True


class _Locator(_CacheLocator):
    def __init__(self, source: Path) -> None:
        self._source = source

    @classmethod
    def from_function(cls, function: Any, source: str) -> "_Locator | None":
        return cls(Path(source)) if directory() else None

    def get_cache_path(self) -> str:
        return str(directory())

    def ensure_cache_path(self) -> None:
        pass

    def get_source_stamp(self) -> str:
        return blake2b(self._source.read_bytes(), digest_size=8).hexdigest()

    def get_disambiguator(self) -> str:
        return blake2b(str(self._source).encode(), digest_size=4).hexdigest()


class _Files(CompileResultCacheImpl):
    _locator_classes = cast(Any, [_Locator])


class _Cache(FunctionCache):
    _impl_class = _Files

    def load_overload(self, signature: Any, context: Any) -> Any:
        # numba refreshes the context first, which imports all that it compiles with: 0.3 s, scipy.linalg among it. Code
        # that was kept runs without, and what is compiled after all refreshes by itself.
        rtsys.initialize(context)
        with self._guard_against_spurious_io_errors():
            return self._load_overload(signature, context)  # type: ignore[no-untyped-call]

    def save_overload(self, signature: Any, code: Any) -> None:
        try:
            super().save_overload(signature, code)  # type: ignore[no-untyped-call]
        except OSError:  # a read-only image, compiled for another processor: compiled again at each start
            self.disable()  # type: ignore[no-untyped-call]


def keep(dispatcher: Any) -> None:
    """Keep the code of a function that was made with `numba.njit`."""
    if directory():
        dispatcher._cache = cast(Any, _Cache)(dispatcher.py_func)
