"""A store for the tests: what checkpoints wrote, and what they said of it."""

from typing import TypeVar

import msgspec

from driftline.codec import pack, unpack

State = TypeVar("State")


class Stored:
    """The blobs of one task."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}

    def take(self, state: State, writes: dict[str, bytes | None]) -> State:
        """Store a checkpoint. Returns its description as it is read back."""
        for name, blob in writes.items():
            if blob is None:
                del self.blobs[name]
            else:
                self.blobs[name] = blob
        return msgspec.convert(unpack(pack("state", 1, state, {}), "state", (1,)).value, type(state))
