"""Compiled code is kept, and never outlives a change of any source that it came from."""

import subprocess
import sys
from pathlib import Path

import numpy as np

from driftline.compiled import address, byte_at, compiled, half_at, word_at
from driftline.compiled.cache import directory, stamp
from driftline.sketches.keys import Ints

SOURCE = Path(__file__).parents[1] / "src"


@compiled
def loads(out: Ints) -> None:
    at = address(out)
    out[1], out[2], out[3] = byte_at(at), half_at(at), np.int64(word_at(at))


def test_loads_read_memory_as_it_is() -> None:
    out = np.array([-2, 0, 0, 0], dtype=np.int64)
    loads(out)
    assert out.tolist() == [-2, 254, -2, -2]


PROGRAM = """
import sys
sys.path.insert(0, {path!r})
from numba import njit
from driftline.compiled.cache import directory, stamp
from driftline.formats.speculation.tokens import Tokens, _number
Tokens()  # calls one compiled function, with callees in another file
compiler = "numba.np.linalg" in sys.modules
loops = {{}}
exec("def double(x): return 2 * x", loops)
assert njit(loops["double"])(4) == 8  # what was not kept is compiled, also after what was
print(stamp(), sum(_number.stats.cache_hits.values()), sum(_number.stats.cache_misses.values()), compiler, directory())
"""


def run(path: Path, home: Path) -> list[str]:
    environment = {"HOME": str(home), "PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(path=str(path))],
        check=True, capture_output=True, text=True, env=environment,
    )  # fmt: skip
    return ran.stdout.split()


def test_code_is_kept_until_any_of_its_sources_changes(tmp_path: Path) -> None:
    copy, home = tmp_path / "src", tmp_path / "home"
    subprocess.run(["cp", "-r", str(SOURCE), str(copy)], check=True)
    subprocess.run(["rm", "-rf", str(copy / "driftline" / "__pycache__")], check=True)
    home.mkdir()
    first, hits, misses, compiler, place = run(copy, home)
    assert (hits, misses, compiler) == ("0", "1", "True")
    assert Path(place).is_relative_to(copy)
    assert run(copy, home)[:4] == [first, "1", "0", "False"]  # what compiles is not loaded: it takes 0.3 s
    scanning = copy / "driftline" / "formats" / "speculation" / "scanning.py"
    scanning.write_text(scanning.read_text() + "\n# another source\n")
    changed, hits, misses, *_ = run(copy, home)
    assert changed != first
    assert (hits, misses) == ("0", "1")


def test_this_process_keeps_its_code() -> None:
    kept = directory()
    assert kept is not None
    assert kept.name == f"compiled-{stamp()}"
