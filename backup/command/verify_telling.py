"""What `bkp verify` says of a copy, for people and for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from backup.command.telling import instant, local, say, size
from backup.command.unsigned_runs import words_of_unsigned
from backup.restoring.verify import Depth
from core.model.counting import counted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from backup.restoring.manifest_damage import Damage
    from backup.restoring.verify import Report

_SAID = {
    Depth.STORED: "manifests are signed, every file is there with its size; contents were not read",
    Depth.READ: "every file was read back and is what was sent; nothing was decrypted",
    Depth.DECRYPTED: "every file was read back, and the newest restore point was decrypted and restored aside{logs}",
}
_SAMPLED = "every file is there with its size, {read} of {files} were read back and are what was sent"


def report_document(label: str, report: Report) -> dict[str, object]:
    """Return what was found of a copy for programs."""
    return {
        "set": label,
        "depth": report.depth.value,
        "files": report.files,
        "files_read": report.files_read,
        "bytes_read": report.bytes,
        "log_files": report.log_files,
        "uncompared": report.uncompared,
        "restorable": [instant(at) for at in report.restorable],
        "unlisted": [instant(at) for at in report.unlisted],
        "lost": [instant(at) for at in report.lost],
        "damages": [
            {
                "name": each.name,
                "what": each.what,
                "kills": [instant(at) for at in each.kills],
                "unlists": [instant(at) for at in each.unlists],
                "moments": None if each.moments is None else [instant(at) for at in each.moments],
            }
            for each in report.damages
        ],
        "strays": list(report.strays),
        "unsigned": [instant(at) for at in report.unsigned],
        "fresh_full": report.fresh_full,
        "fresh_point": report.fresh_point,
        "hindrances": [{"error": str(each), "exit_code": each.exit_code} for each in report.hindrances],
    }


def tell_report(label: str, report: Report, others: Mapping[str, Report]) -> None:
    """Tell people what was found of a copy; others: what was found of the set's other ones, by their labels."""
    whole, lost = len(report.restorable), len(report.lost)
    depth = report.depth.value if report.sampled_to is None else f"{report.depth.value}, a sample"
    logs = f" ({report.log_files} of archived logs)" if report.log_files else ""
    read = f", {size(report.bytes)} read" if report.files_read else ""
    click.echo(f"{label}: {counted(report.files, 'file')}{logs}{read}, depth {depth}")
    for damage in report.damages:
        click.echo(f"  {damage.name}: {damage.what}{_cost(damage)}")
    if report.damages:
        unlisted = len(report.unlisted)
        more = f", {unlisted} more can be restored, but not listed" if unlisted else ""
        say(f"  {_say_whole(whole - unlisted)}{more}, {lost} {'is' if lost == 1 else 'are'} lost")
        for remedy in (report.fresh_full, report.fresh_point):
            if remedy is not None:
                click.echo(f"  {remedy}")
    elif report.hindrances:
        say(f"  {_say_whole(whole)} as far as could be looked; no damage was found")
    else:
        said = _SAID[report.depth].format(logs=", each archived log decrypted" if report.log_files else "")
        if report.sampled_to is not None:
            said = _SAMPLED.format(read=report.files_read, files=report.files)
        say(f"  {_say_whole(whole)}: {said}")
    if report.uncompared:
        lie = "lies" if report.uncompared == 1 else "lie"
        say(
            f"  {counted(report.uncompared, 'file')} of logs {lie} there from before their names told what could be"
            " compared: --depth decrypted looks at them"
        )
    if report.strays:
        belong = "belongs" if len(report.strays) == 1 else "belong"
        harmless = "" if report.unsigned else " (of ended runs, which does no harm)"
        say(f"  {counted(len(report.strays), 'file')} {belong} to no restore point{harmless}")
    for words in words_of_unsigned(report, others):
        click.echo(f"  {words}")


def _cost(damage: Damage) -> str:
    """Return what a damage costs, as it is said after it."""
    if damage.unlists:
        points = ", ".join(local(at) for at in damage.unlists)
        return f"; costs the list of files of {points}: restorable all the same, but no incremental can be made from it"
    if damage.moments is not None:
        since, until = damage.moments
        to = "" if until is None else f" to {local(until)}"
        return f"; costs every moment {'after' if until is None else 'from'} {local(since)}{to}"
    return f"; costs {', '.join(local(at) for at in damage.kills)}" if damage.kills else ""


def _say_whole(points: int) -> str:
    return f"{counted(points, 'restore point')} {'is' if points == 1 else 'are'} whole"
