"""What `pip install driftline` brings to a service that publishes: distributions, their size, the cost of the import.

`make client` prints it. The wheel is built from this tree, and the rest is what uv.lock says.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cpu import cpu_s

ROOT = Path(__file__).parents[1]
_DISTRIBUTIONS = (
    "import json, importlib.metadata as m; print(json.dumps({d.name: d.version for d in m.distributions()}))"
)
_IMPORTED = """
import json, sys
before = set(sys.modules)
from driftline import Publisher
names = {name.partition(".")[0] for name in set(sys.modules) - before}
print(json.dumps(sorted(names - sys.stdlib_module_names)))
"""


@dataclass(frozen=True, slots=True)
class Client:
    """An environment with driftline and nothing that a service does not need."""

    home: Path

    @property
    def python(self) -> Path:
        return self.home / "bin" / "python"

    def run(self, program: str, **env: str) -> subprocess.CompletedProcess[str]:
        return ran([self.python, "-c", program], env)

    def printed(self, program: str) -> Any:
        done = self.run(program)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def distributions(self) -> dict[str, str]:
        return dict(self.printed(_DISTRIBUTIONS))

    def imported(self) -> list[str]:
        """Return what is loaded with the publisher beside the standard library."""
        return list(self.printed(_IMPORTED))

    def size(self) -> int:
        """Return the bytes of all files that were installed, compiled as pip compiles them."""
        (packages,) = self.home.glob("lib/python*/site-packages")
        compiled = [self.python, "-m", "compileall", "-q", packages]
        assert ran(compiled, {}).returncode == 0
        return sum(path.stat().st_size for path in packages.rglob("*") if path.is_file() and not path.is_symlink())

    def import_s(self) -> float:
        """Return what `from driftline import Publisher` takes of CPU, beyond what Python takes to begin."""
        return cpu_s([self.python, "-c", "from driftline import Publisher"]) - cpu_s([self.python, "-c", ""])


def install(home: Path) -> Client:
    """Install this tree as `pip install driftline` would."""
    uv = shutil.which("uv") or ROOT / ".tools" / "bin" / "uv"
    sync = [uv, "sync", "--quiet", "--frozen", "--no-dev", "--no-editable", "--directory", ROOT]
    done = ran([*sync, "--python", sys.executable, "--link-mode", "copy"], {"UV_PROJECT_ENVIRONMENT": str(home)})
    assert done.returncode == 0, done.stderr
    return Client(home)


def ran(command: list[Any], env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")}
    return subprocess.run(list(map(str, command)), env={**kept, **env}, capture_output=True, text=True, timeout=110)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        client = install(Path(folder) / "venv")
        print("distributions:", ", ".join(f"{name} {version}" for name, version in client.distributions().items()))
        print(f"installed:     {client.size() / 1e6:.1f} MB")
        print("imported:     ", ", ".join(client.imported()))
        print(f"import:        {client.import_s():.3f} s of CPU")


if __name__ == "__main__":
    main()
