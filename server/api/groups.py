"""Host groups and their hosts."""

from server.api.endpoint import Answer, Call, Role, endpoint
from server.api.scope import groups_of
from server.store.groups import read_groups


class GroupView(Answer):
    """A host group with the names of its hosts."""

    name: str
    hosts: list[str]


class GroupList(Answer):
    """The groups the visitor may see, by name."""

    groups: list[GroupView]


@endpoint("GET", "/groups", role=Role.VIEWER)
async def list_groups(call: Call) -> GroupList:
    """List host groups that have hosts."""
    async with call.services.database.connection() as connection:
        found = await read_groups(connection, groups_of(call))
    return GroupList(groups=[GroupView(name=name, hosts=hosts) for name, hosts in found])


ENDPOINTS = (list_groups,)
