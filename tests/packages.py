"""Packages with entry points, put where Python finds them as pip would."""

from collections.abc import Mapping
from pathlib import Path


def offer(place: Path, name: str, groups: Mapping[str, Mapping[str, str]]) -> None:
    """Write what pip would beside a package of this name: `groups` are its entry points."""
    info = place / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = []
    for group, entries in groups.items():
        lines += [f"[{group}]", *(f"{entry} = {value}" for entry, value in entries.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
