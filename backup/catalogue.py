"""Which restore points a set has: from the signed manifests at the target, and from nothing else.

Invariant: nobody takes an older restore point for the newest. What does not count and is newer is named by whoever
reads (`passed_over`), and whoever goes by the newest (a restore, a drill, a hold) is refused (`chosen`) until the older
one is asked for by its time. A point of a time to come, which a clock that was ahead made, is not the newest for it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

from backup.choice import choose_point
from backup.errors import KeyMissing, NoRestorePoint, ObjectMissing, PointRefused, SignatureBad, SignerUnknown
from backup.keys.messages import verify
from backup.manifest import read_manifest
from backup.model import Kind, RestorePoint, instant_name, read_instant
from backup.settings.checks import check_name
from backup.spelling import shown
from backup.targets.reading import at_hand
from backup.when import local

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from backup.keys.messages import Verified
    from backup.keys.ring import KeyRing
    from backup.model import Manifest, Place
    from backup.targets.contract import Target
    from backup.when import When

MANIFEST_ENDING: Final = ".json.asc"
IMPORT_REMEDY: Final = (
    "If that is a new key of the host's, bring its public half: there `bkp key export host > host.asc`, here"
    " `bkp key import host.asc`"
)
_MANIFEST_LIMIT_BYTES: Final = 64 << 20
_SKEW: Final = timedelta(minutes=15)  # between the clocks of host and reader


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A file among the manifests that does not count, and why; or one whose run cannot be restored.

    is_of_stranger: its signer is no key of this machine: what it is worth cannot be told here.
    """

    name: str
    why: str
    is_of_stranger: bool = False

    @property
    def at(self) -> datetime | None:
        """The instant of the run whose manifest this is, by its name; None when no run's manifest is named so."""
        try:
            return read_instant(self.name.removesuffix(MANIFEST_ENDING))
        except ValueError:
            return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """The restore points of a set, oldest first, and what was not taken for one.

    read_at: when it was read; what is later than that is of a time to come. None: nothing is.
    """

    points: tuple[RestorePoint, ...]
    refused: tuple[Refused, ...]
    read_at: datetime | None = None

    @property
    def missing(self) -> tuple[Refused, ...]:
        """The manifests that are gone, but for their names in those after them."""
        there = {point.manifest.name for point in self.points} | {each.name for each in self.refused}
        after = {
            point.manifest.previous: point.manifest.name
            for point in self.points
            if point.manifest.previous is not None and point.manifest.previous not in there
        }
        return tuple(
            Refused(name=name, why=f"{shown(name)}: it is missing at the target, and {later} goes on from it")
            for name, later in after.items()
        )

    @property
    def unusable(self) -> tuple[Refused, ...]:
        """What does not count or is gone, and the points whose chain is broken, in the order of their names."""
        broken = (
            Refused(name=point.manifest.name, why=f"{point.manifest.name}: {point.broken}")
            for point in self.points
            if point.broken is not None
        )
        return tuple(sorted((*self.refused, *self.missing, *broken), key=lambda each: each.name))

    @property
    def whole(self) -> tuple[RestorePoint, ...]:
        """The points whose chain is whole as far as manifests tell, oldest first."""
        return tuple(point for point in self.points if point.broken is None)

    @property
    def to_come(self) -> tuple[Refused, ...]:
        """The whole points of a time to come, where others are not: whether they are newer nobody can tell."""
        found = [point for point in self.whole if self._is_to_come(point)]
        if len(found) == len(self.whole):
            return ()
        return tuple(
            Refused(
                name=point.manifest.name,
                why=f"{point.manifest.name}: it is of a time to come, since that host's clock was wrong, or this"
                f" machine's is: whether it is newer cannot be told, and --at {instant_name(point.at)} takes it",
            )
            for point in found
        )

    @property
    def doubtful(self) -> tuple[Refused, ...]:
        """What is unusable, and what is of a time to come, in the order of their names."""
        return tuple(sorted((*self.unusable, *self.to_come), key=lambda each: each.name))

    @property
    def newest_chain(self) -> str | None:
        """The chain that the host goes on from, whether its points can be restored or not; None: there is none."""
        return self.latest(self.points).manifest.chain if self.points else None

    def latest(self, points: Sequence[RestorePoint]) -> RestorePoint:
        """Return the newest of some points (oldest first, at least one): of those that are not to come, if any."""
        return next((point for point in reversed(points) if not self._is_to_come(point)), points[-1])

    def without_to_come(self) -> Catalogue:
        """Return it without the points of a time to come, where there are others."""
        names = {each.name for each in self.to_come}
        return replace(self, points=tuple(point for point in self.points if point.manifest.name not in names))

    def newest(self, when: When | None = None) -> RestorePoint:
        """Return the newest point that can be restored, or the one that `when` means; `passed_over` has what is newer.

        Raises NoRestorePoint, PointAmbiguous: both name those near.
        """
        whole = self.whole
        if whole:
            return self.latest(whole) if when is None else choose_point(whole, when)
        refused = f"; {len(self.refused)} manifests do not count: {self.refused[0].why}" if self.refused else ""
        raise NoRestorePoint(f"there is no restore point{refused}{self._to_do(self.refused)}")

    def passed_over(self, point: RestorePoint, when: When | None = None) -> tuple[Refused, ...]:
        """Return what is doubtful and was meant rather than `point`: newer, and not later than `when` (None: ever)."""
        return tuple(
            each
            for each in self.doubtful
            if each.at is not None and each.at > point.at and (when is None or each.at <= when.latest)
        )

    def chosen(self, when: When | None = None) -> RestorePoint:
        """Return the point that `when` means, or the newest. Raises PointRefused when anything was passed over.

        Raises NoRestorePoint, PointAmbiguous as `newest` does.
        """
        point = self.newest(when)
        if passed := self.passed_over(point, when):
            raise PointRefused(
                f"{self.said_of(passed)}. The newest before is of {local(point.at)}: to take that one all the same, say"
                f" --at {instant_name(point.at)}"
            )
        return point

    def said_of(self, passed: Sequence[Refused]) -> str:
        """Return in words what was passed over (at least one), and what to do about it where that is known."""
        newest = passed[-1]
        of = "" if newest.at is None else f" of {local(newest.at)}"
        more = "" if len(passed) == 1 else f", nor can {len(passed) - 1} before it"
        return f"the restore point{of} cannot be used{more}: {newest.why}{self._to_do(passed)}"

    def _is_to_come(self, point: RestorePoint) -> bool:
        return self.read_at is not None and point.at > self.read_at + _SKEW

    def _to_do(self, passed: Sequence[Refused]) -> str:
        return f". {IMPORT_REMEDY}" if any(each.is_of_stranger for each in passed) else ""


def sets_at(target: Target) -> list[tuple[str, str]]:
    """Return host and set of everything at a target that has restore points."""
    return [
        (host, name)
        for host in target.folders("")
        if check_name(host) is None
        for name in target.folders(host)
        if check_name(name) is None and target.files(f"{host}/{name}/points")
    ]


def read_catalogue(
    target: Target, place: Place, ring: KeyRing, verifying: Callable[[str], Verified] | None = None
) -> Catalogue:
    """Read every manifest of a set and check its signature against the keys in `ring`; `verifying` does that, if given.

    A manifest counts when its signature holds, its signer is the one its text names, the key is trusted for its host
    (`KeyRing.signers`), and host, set and file name agree with where it lies. Anything else is named in `refused`.
    Raises what the target raises; KeyMissing when the ring holds no signer for that host at all.
    """
    trusted, verifying = _signers(place, ring), verifying or partial(verify, ring)
    found: list[Manifest] = []
    refused: list[Refused] = []
    there = target.files(place.points)
    with at_hand(target, place.points, there):
        for name in sorted(there):
            try:
                found.append(_read(target, place, name, verifying, trusted))
            except (SignatureBad, ObjectMissing) as error:
                stranger = isinstance(error, SignerUnknown)
                refused.append(Refused(name=name, why=f"{shown(name)}: {error}", is_of_stranger=stranger))
    return Catalogue(points=tuple(_link(found)), refused=tuple(refused), read_at=datetime.now(UTC))


def read_runs(target: Target, place: Place, ring: KeyRing, last: Manifest) -> list[Manifest]:
    """Return the runs that the point of `last` is made of, its full first: a request for each incremental.

    Raises SignatureBad when one does not fit, and as `read_catalogue` does.
    """
    runs = [last]
    while (before := runs[0].previous) is not None and runs[0].position > 0:
        if "/" in before:
            raise SignatureBad(f"{runs[0].name} goes on from {before!r}, which is no manifest's name")
        found = _read(target, place, before, partial(verify, ring), _signers(place, ring))
        if (found.chain, found.position + 1) != (runs[0].chain, runs[0].position):
            raise SignatureBad(f"{runs[0].name} does not go on from {before}")
        runs.insert(0, found)
    return runs


def _signers(place: Place, ring: KeyRing) -> frozenset[str]:
    trusted = ring.signers().get(place.host, frozenset())
    if not trusted:
        raise KeyMissing(
            f"no key in {ring.home} is trusted to sign for host {place.host!r}. Bring its public key: the escrow sheet"
            f" has it (bkp key import SHEET --key {ring.home}), or on that host: bkp key export host > host.asc, and"
            f" here: bkp key import host.asc --key {ring.home}"
        )
    return trusted


def _read(
    target: Target, place: Place, name: str, verifying: Callable[[str], Verified], trusted: frozenset[str]
) -> Manifest:
    if not name.endswith(MANIFEST_ENDING):
        raise SignatureBad("it is no manifest")
    pieces: list[bytes] = []
    size = 0
    for piece in target.read(f"{place.points}/{name}"):
        pieces.append(piece)
        size += len(piece)
        if size > _MANIFEST_LIMIT_BYTES:
            raise SignatureBad("it is larger than any manifest")
    try:
        signed = b"".join(pieces).decode("utf-8")
    except UnicodeDecodeError as error:
        raise SignatureBad("it is no text") from error
    verified = verifying(signed)
    if verified.signer not in trusted:
        raise SignatureBad(f"it is signed by {verified.signer}, which may not sign for host {place.host!r}")
    manifest = read_manifest(verified.text)
    if (manifest.host, manifest.set, manifest.name) != (place.host, place.set, name):
        raise SignatureBad(
            f"it speaks of {manifest.host}/{manifest.set} {manifest.name}: it was put here from elsewhere"
        )
    if manifest.signer != verified.signer:
        raise SignatureBad(f"it names the signer {manifest.signer}, but {verified.signer} signed it")
    return manifest


def _link(manifests: Iterable[Manifest]) -> list[RestorePoint]:
    """Return the restore points, oldest first; each says when a link between it and its full is missing."""
    points: dict[str, RestorePoint] = {}
    for manifest in sorted(manifests, key=lambda manifest: manifest.at):
        points[manifest.name] = RestorePoint(manifest=manifest, broken=_break(manifest, points))
    return list(points.values())


def _break(manifest: Manifest, older: dict[str, RestorePoint]) -> str | None:
    if manifest.kind is Kind.FULL:
        return None
    before = older.get(manifest.previous or "")
    if before is None:
        return f"the manifest of the run before, {manifest.previous}, is missing or does not count"
    if (before.manifest.chain, before.manifest.position + 1) != (manifest.chain, manifest.position):
        return f"it does not go on from {manifest.previous}"
    return before.broken
