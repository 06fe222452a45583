"""Coverage-guided fuzzing of the decoders and of everything that reads stored bytes: `make guided SECONDS=300`.

atheris changes inputs that reached new lines of Python further. It knows nothing of what it reads, so the checksum of
a blob is made right for it; structure is what `make fuzz` knows better.
"""

import sys
import tempfile
from importlib import import_module
from pathlib import Path


def main() -> None:
    """Fuzz for so many seconds; an input that fails is printed, and kept as crash-…"""
    atheris = import_module("atheris")
    with atheris.instrument_imports(include=["driftline"]):
        targets = import_module("tests.fuzz.targets")
    seconds = sys.argv[1] if len(sys.argv) > 1 else "60"
    with tempfile.TemporaryDirectory(prefix="driftline-guided-") as corpus:
        for number, seed in enumerate(targets.seeds()):
            (Path(corpus) / f"seed-{number}").write_bytes(seed)
        options = ("-max_len=8000", "-len_control=0", "-rss_limit_mb=3000", "-print_final_stats=1")
        atheris.Setup([sys.argv[0], corpus, f"-max_total_time={seconds}", *options], targets.one)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
