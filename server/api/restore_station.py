"""Asks the server's restore station: what stands in its way is an answer of the API."""

from datetime import UTC, datetime
from typing import Any, Final

from server.api.backups import SetPath
from server.api.endpoint import Call
from server.api.errors import ApiError
from server.restoring.program import TooBusy
from server.restoring.station import READ_SECONDS, RestoreStation

_NOT_FOUND_CODES: Final = (3, 50, 51)  # bkp's own: no such set, restore point, path


def station_of(call: Call) -> RestoreStation:
    """Return the restore station. Raises ApiError 409 saying how to have one."""
    station = call.services.restoring
    if station is None:
        raise ApiError(
            409,
            "no_restore_station",
            "This server has no restore station, so it can neither look into backups nor restore.",
            remedy="Set `restore_station` in the server's configuration to the station's backup.toml"
            " (docs/backup-schedule.md), or use `bkp` on the machine that has the key.",
        )
    return station


def too_busy() -> ApiError:
    """As many restorations and looks are under way as may be."""
    return ApiError(
        503,
        "too_busy",
        "The restore station is busy.",
        remedy="Try again in a minute.",
        headers={"Retry-After": "30"},
    )


async def ask_station(call: Call, command: str, options: list[str], path: SetPath, *words: str) -> dict[str, Any]:
    """Run one of `bkp`'s reading commands for a set and return its document. Raises ApiError."""
    station = station_of(call)
    try:
        answered = await station.program.call(
            command, options, f"{path.host}/{path.set}", *words, limit_seconds=READ_SECONDS
        )
    except TooBusy as error:
        raise too_busy() from error
    except (OSError, TimeoutError) as error:
        raise _station_failed(str(error) or f"it did not answer within {READ_SECONDS:g} s") from error
    if answered.exit_code in _NOT_FOUND_CODES:
        raise ApiError(404, "not_found", answered.error, remedy="List the restore points, then ask for what is there.")
    if answered.exit_code != 0:
        raise _station_failed(answered.error)
    return answered.document


def iso(at: datetime) -> str:
    """Return an instant as `bkp` takes it."""
    return at.astimezone(UTC).isoformat()


def _station_failed(words: str) -> ApiError:
    return ApiError(
        502,
        "restore_station_failed",
        f"The restore station could not do it: {words:.1000}",
        remedy="Run `bkp doctor` with the restore station's configuration.",
    )
