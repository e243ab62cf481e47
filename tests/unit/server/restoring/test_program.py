"""What `bkp` may answer: no more than the server can take in beside its other work."""

from __future__ import annotations

import asyncio

import pytest

from server.restoring.program import _read


async def test_an_answer_that_would_hold_the_server_up_is_refused_while_it_comes() -> None:
    stream = asyncio.StreamReader()
    stream.feed_data(bytes(9 << 20))  # and it has not ended
    with pytest.raises(OSError, match="use `bkp`"):
        async with asyncio.timeout(60):
            await _read(stream)
