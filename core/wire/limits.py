"""The sizes and numbers that bound a link; docs/protocol.md says why each is what it is.

A collector's memory for one peer is at most MAX_QUEUED_FRAMES data messages and MAX_QUEUED_CONTROLS control messages
of their largest size; a peer that keeps to its credit never has more than its window under way.
"""

from __future__ import annotations

from typing import Final

from core.model.record import HEADER_BYTES, MAX_BODY_BYTES

PROTOCOL: Final = 1
MAX_CONTROL_BYTES: Final = 1 << 20
FRAME_BYTES: Final = 256 << 10  # records in one data frame, unless a single record is larger
MAX_RECORD_BYTES: Final = HEADER_BYTES + MAX_BODY_BYTES
MAX_FRAMES_IN_FLIGHT: Final = 64  # without a receipt, whatever the window says: small frames must not reach the mark
MAX_QUEUED_FRAMES: Final = 160  # ZeroMQ's high-water mark of a data socket, per peer: twice what is in flight, and room
MAX_QUEUED_CONTROLS: Final = 256  # the same of a control socket
WINDOW_BYTES: Final = 4 << 20  # what one link may have under way
BUDGET_BYTES: Final = 256 << 20  # what all links of a collector may have under way together
SMALLEST_WINDOW_BYTES: Final = 64 << 10
MAX_NAME_LETTERS: Final = 255
MAX_BOOTS: Final = 4096
MAX_ACKS: Final = 20_000  # ranges in one message; more go in the next
MAX_PRESENCE_ROWS: Final = 4000  # in one message
MAX_FEED_PREFIXES: Final = 10_000  # of all subscribers together
MAX_FEED_PREFIX_BYTES: Final = 1024
MAX_FEED_VALUES: Final = 1024  # in one message of the feed: 16 KiB
MAX_QUEUED_FEED_MESSAGES: Final = 1000  # per subscriber; what comes on top is dropped for that one
