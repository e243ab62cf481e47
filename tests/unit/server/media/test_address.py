from __future__ import annotations

import pytest

from server.media.address import judge_address


@pytest.mark.trial("S-9")
@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.8.8", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.1.1", "198.18.0.1",
        "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "2002:7f00:1::",
        "64:ff9b::7f00:1", "64:ff9b::a00:1", "::7f00:1",
    ],
)  # fmt: skip
def test_private_addresses_need_leave(address: str) -> None:
    assert judge_address(address, allow_private=False) is not None
    assert judge_address(address, allow_private=True) is None


@pytest.mark.trial("S-9")
@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "fd00:ec2::254", "100.100.100.200",
        "168.63.129.16", "0.0.0.0", "0.1.2.3", "::", "224.0.0.1", "ff02::1", "not an address", "",  # noqa: S104 - nothing is bound
    ],
)  # fmt: skip
def test_metadata_addresses_and_what_is_no_machine_are_denied_whatever_is_allowed(address: str) -> None:
    assert judge_address(address, allow_private=False) is not None
    assert judge_address(address, allow_private=True) is not None


@pytest.mark.parametrize("address", ["9.9.9.9", "2620:fe::fe", "::ffff:9.9.9.9", "64:ff9b::909:909"])
def test_public_addresses_are_allowed(address: str) -> None:
    assert judge_address(address, allow_private=False) is None
