"""`bkp key retire`: which restore points need which key, and the end of one that none needs."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from backup.command.key.places import folders_there
from backup.command.options import clearing, config_option, json_option, settings_of
from backup.command.reach import all_sets
from backup.command.telling import instant, local, write_json
from backup.errors import KeyMissing, KeyNeeded
from backup.keys.need import Saved, needed_by, newest_of_name
from backup.keys.ring import KeyRing
from backup.station.station import UNREACHED, open_station
from core.model.counting import counted

if TYPE_CHECKING:
    from pathlib import Path

    from backup.command.reach import Reach
    from backup.keys.key import Key

_EPILOG = """\b
Examples:
  bkp key retire                     each key, and what restore points need it
  bkp key retire 3AA5C0B1E4D2F6A7    delete it: refused while any needs it

A key is needed by restore points that it signed, or that no other secret key here opens. The youngest key of a name is
in use and stays. All sets at all targets of the configuration are looked at; where one cannot be, nothing is deleted.
Exit code 18: the key is still needed. 20, 21: a target is away, so nothing is deleted.
"""
_LEAST_LETTERS = 8


@click.command(epilog=_EPILOG)
@click.argument("fingerprint", required=False)
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@config_option
@clearing
def retire(*, config: Path | None, fingerprint: str | None, yes: bool, as_json: bool) -> None:
    """Say which restore points need which key; with FINGERPRINT (or its end) delete that key when none does."""
    settings = settings_of(config)
    folders = [each for each in folders_there(settings) if each[0] != "host" or settings.keys.station is None]
    if not folders:
        raise KeyMissing("there is no key folder here; begin with: bkp key make")
    role, home, passphrase_file = folders[0]
    with KeyRing(home, passphrase_file) as ring:
        keys = ring.keys()
        survey = _look(all_sets(settings))
        needs = {key.fingerprint: needed_by(key, keys, survey.saved) for key in keys}
        if fingerprint is None:
            _tell(role, keys, needs, survey, as_json=as_json)
            survey.reach.end()
            return
        key = _meant(keys, fingerprint)
        _demand_unneeded(key, keys, needs[key.fingerprint], survey)
        if not yes:
            if not sys.stdin.isatty():
                raise click.UsageError("there is no terminal to ask: say --yes")
            click.confirm(f"Delete {key.name}, {key.fingerprint}, from {home} for good?", abort=True, err=True)
        ring.delete(key)
    if as_json:
        write_json({"deleted": key.fingerprint})
    else:
        click.echo(f"{key.name}, {key.fingerprint}, is deleted. Its sheet opens nothing any more: destroy it too.")


@dataclass(slots=True, kw_only=True)
class _Survey:
    """What the restore points need, what could not be understood, and what could not be reached."""

    reach: Reach
    saved: list[Saved] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)


def _look(reach: Reach) -> _Survey:
    """Look at every copy of every set, also where it was kept before: one may have older points than the others."""
    survey = _Survey(reach=reach)
    seen: set[tuple[str, str]] = set()
    for chosen in (*reach.copies(), *reach.left_behind):
        label = reach.label(chosen)
        try:
            with open_station(reach.settings, chosen) as station:
                catalogue = station.catalogue()
        except KeyMissing as error:
            survey.doubts.append(f"{label}: {error}")
        except UNREACHED as error:
            reach.note(f"{label} at {chosen.target}", error)
        else:
            new = [point.manifest for point in catalogue.points if (label, point.manifest.name) not in seen]
            seen |= {(label, manifest.name) for manifest in new}
            survey.saved += [Saved(label=label, manifest=manifest) for manifest in new]
            survey.doubts += [f"{label}: {each.why}" for each in catalogue.refused]
    return survey


def _meant(keys: list[Key], fingerprint: str) -> Key:
    wanted = fingerprint.replace(" ", "").upper()
    found = [key for key in keys if key.fingerprint.endswith(wanted)]
    if len(wanted) < _LEAST_LETTERS or len(found) != 1:
        raise KeyMissing(f"{fingerprint!r} names {len(found)} keys here: give the whole fingerprint (bkp key list)")
    return found[0]


def _demand_unneeded(key: Key, keys: list[Key], needs: list[Saved], survey: _Survey) -> None:
    if needs:
        raise KeyNeeded(
            f"{key.name}, {key.fingerprint}, is needed by {_said(needs)}. They go by retention (bkp prune); then it can"
        )
    if (first := survey.reach.first) is not None:
        survey.reach.tell()
        raise type(first)(f"whether {key.name} is needed cannot be told before all can be read: it stays")
    if survey.doubts:
        raise KeyNeeded(f"whether {key.name} is needed cannot be told: {survey.doubts[0]}")
    if newest_of_name(keys).get(key.name) is key:
        raise KeyNeeded(f"{key.name}, {key.fingerprint}, is the youngest of its name and in use: bkp key rotate")


def _said(needs: list[Saved]) -> str:
    sets = sorted({each.label for each in needs})
    newest = max(each.manifest.at for each in needs)
    return f"{counted(len(needs), 'restore point')} of {', '.join(sets)}, the newest of {local(newest)}"


def _tell(role: str, keys: list[Key], needs: dict[str, list[Saved]], survey: _Survey, *, as_json: bool) -> None:
    youngest = newest_of_name(keys)
    if as_json:
        write_json({"role": role, "keys": [_document(key, needs[key.fingerprint], youngest) for key in keys],
                    "doubts": survey.doubts, "unread": survey.reach.documents()})  # fmt: skip
        return
    for key in keys:
        found = needs[key.fingerprint]
        used = "in use; " if youngest[key.name] is key else ""
        click.echo(f"{key.fingerprint}  {key.name}")
        click.echo(f"    {used}{'needed by ' + _said(found) if found else 'no restore point needs it'}")
    for doubt in survey.doubts:
        click.echo(f"bkp: {doubt}", err=True)
    survey.reach.tell()


def _document(key: Key, needs: list[Saved], youngest: dict[str, Key]) -> dict[str, Any]:
    return {
        "fingerprint": key.fingerprint,
        "name": key.name,
        "is_in_use": youngest[key.name] is key,
        "needed_by": [{"set": each.label, "at": instant(each.manifest.at)} for each in needs],
    }
