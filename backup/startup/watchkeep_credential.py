"""Has Swift's library sign in with an application credential of Keystone's, whose id and secret come as user and key.

duplicity hands on a user's name and password only. The library calls this again whenever a token has ended.
"""

from typing import Any

from keystoneauth1.identity.v3 import ApplicationCredential
from keystoneauth1.session import Session
from swiftclient import client


def get_auth_keystone(auth_url: str, user: str, key: str, os_options: dict[str, Any], **more: Any) -> tuple[str, str]:
    """Return where Swift is, in the region asked for, and a token."""
    credential = ApplicationCredential(
        auth_url=auth_url, application_credential_id=user, application_credential_secret=key
    )
    session = Session(auth=credential, timeout=more.get("timeout"))
    place = session.get_endpoint(
        service_type="object-store", interface="public", region_name=os_options.get("region_name")
    )
    return str(place), str(session.get_token())


client.get_auth_keystone = get_auth_keystone
