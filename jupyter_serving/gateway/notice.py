"""What a replica says with an answer about itself: ``x-serving-notice``, one line of JSON (pure)."""

from __future__ import annotations

from typing import Annotated

import msgspec

LONGEST_BYTES = 4096


class Notice(msgspec.Struct, frozen=True):
    """Something changed for the worse; ``capacity`` is what the replica can hold from now on, None if the same."""

    text: str = ""
    capacity: Annotated[int, msgspec.Meta(ge=1)] | None = None


def read(value: bytes) -> Notice | None:
    """The notice; None where it cannot be read."""
    if len(value) > LONGEST_BYTES:
        return None
    try:
        return msgspec.json.decode(value, type=Notice)
    except msgspec.MsgspecError:
        return None
