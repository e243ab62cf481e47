"""Many small SNMP devices in one process: each answers one known object (v2c) at a port of its own, or nothing at all.

python -m benchmarks.responder LIVING DEAD      prints the ports as JSON, serves until it is ended
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any, Final

from pyasn1.codec.ber import decoder, encoder
from pysnmp.proto import api

OBJECT: Final = (1, 3, 6, 1, 4, 1, 99999, 1)
"""Under it, n.0 is the number n for every n."""


class Device(asyncio.DatagramProtocol):
    """One device."""

    def __init__(self) -> None:
        self.transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: Any) -> None:
        """Keep the way back."""
        self.transport = transport

    def datagram_received(self, data: bytes, address: Any) -> None:
        """Answer each object asked for with the number in its name."""
        module = api.PROTOCOL_MODULES[api.SNMP_VERSION_2C]
        question, _ = decoder.decode(data, asn1Spec=module.Message())
        answer = module.apiMessage.get_response(question)
        asked = module.apiPDU.get_varbinds(module.apiMessage.get_pdu(question))
        found = [(name, module.Gauge32(int(name[-2]))) for name, _ in asked]
        module.apiPDU.set_varbinds(module.apiMessage.get_pdu(answer), found)
        if self.transport is not None:
            self.transport.sendto(encoder.encode(answer), address)


async def serve(living: int, dead: int) -> None:
    """Open the ports, print them, and answer."""
    loop = asyncio.get_running_loop()
    ports: dict[str, list[int]] = {"living": [], "dead": []}
    kept = []
    for kind, count in (("living", living), ("dead", dead)):
        make = Device if kind == "living" else asyncio.DatagramProtocol
        for _ in range(count):
            transport, _ = await loop.create_datagram_endpoint(make, local_addr=("127.0.0.1", 0))
            kept.append(transport)
            ports[kind].append(transport.get_extra_info("sockname")[1])
    print(json.dumps(ports), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2])))
