"""The escrow sheet: a secret key on paper, that reads back by eye, by keyboard or by camera.

Its text is the armoured secret key (locked by its passphrase) in numbered lines, each with a checksum of its own, so
that a mistyped line is named. The public keys of the hosts whose signatures the station trusts follow in the same
form: without them what it decrypts would count for nothing. Around it stands what the finder has to know.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from backup.errors import KeyWrong

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from backup.keys.key import Key

_LINE_LETTERS: Final = 40
_GROUP: Final = 5
_LINE: Final = re.compile(r"^\s*(\d{1,5})\s*:\s*([A-Za-z0-9+/= ]+?)\s*#\s*([0-9a-fA-F]{6})\s*$")
_TITLE: Final = "WATCHKEEP ESCROW SHEET"
_BEGIN: Final = "-----BEGIN PGP PRIVATE KEY BLOCK-----"
_END: Final = "-----END PGP PRIVATE KEY BLOCK-----"
_PUBLIC_BEGIN: Final = "-----BEGIN PGP PUBLIC KEY BLOCK-----"
_PUBLIC_END: Final = "-----END PGP PUBLIC KEY BLOCK-----"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """What is printed. passphrase_file: where the passphrase lies, which is not printed.

    lines: the secret key's first, then those of the hosts' public keys. parts: a title for each of these keys and the
    number of its first line.
    """

    key: Key
    host: str
    passphrase_file: str
    lines: tuple[str, ...]
    parts: tuple[tuple[str, int], ...]

    @property
    def text(self) -> str:
        """The whole sheet as plain text."""
        expires = (
            "never" if self.key.expires_at is None else f"{self.key.expires_at:%Y-%m-%d} (it decrypts afterwards too)"
        )
        titles = {first: title for title, first in self.parts}
        numbered: list[str] = []
        for number, line in enumerate(self.lines, 1):
            if number in titles:
                numbered += ["", titles[number], ""]
            numbered.append(line)
        return "\n".join(
            [
                f"{_TITLE}: the secret key of the backups",
                "",
                f"Key          {self.key.name}",
                f"Fingerprint  {spaced(self.key.fingerprint, 4)}",
                f"Made         {self.key.made_at:%Y-%m-%d}   Expires  {expires}",
                f"Printed at   {self.host}",
                "",
                *instructions(self.passphrase_file),
                "",
                "PASSPHRASE (write it here by hand, or keep it on another sheet elsewhere):",
                "",
                "    _____________________________________________",
                "",
                f"KEYS, {len(self.lines)} lines (number: letters # checksum of the line; blanks do not count)",
                *numbered,
                "",
            ]
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Typed:
    """A line of a sheet, as somebody typed it."""

    number: int
    letters: str
    checksum: str

    @property
    def is_right(self) -> bool:
        """Whether the checksum is that of number and letters."""
        return _sum(self.number, self.letters) == self.checksum


def instructions(passphrase_file: str) -> tuple[str, ...]:
    """Return what the finder of a sheet has to know, and where its passphrase lies while the station is there."""
    return (
        "Whoever has this sheet and the passphrase can read every backup; without both",
        "nobody can. Keep it where a fire that takes the machines does not take it.",
        "The passphrase is not printed; on the machine named above it lies in",
        f"    {passphrase_file}",
        "Write it down below, or keep it apart from this sheet.",
        "",
        "Back to a key, on any machine with Watchkeep: type the lines below (or read the",
        "QR codes in order, one after the other) into a file. A mistyped line is named.",
        "    bkp key import FILE --key ./station",
        "    (umask 077; cat > station.passphrase)      type the passphrase, then Ctrl-D",
        "    bkp list --target BACKUPS --key ./station",
        "    bkp restore HOST/SET --target BACKUPS --key ./station --to ./back",
        "By hand: strip number, checksum and blanks of each line, decode base64, give the",
        "result to: gpg --import",
        "",
        "A host that was added after this sheet was printed is not on it: print it anew",
        "then. When the sheet is safe, say so on the restore station: bkp key confirm",
    )


def draw_up(
    key: Key, armoured: str, host: str, passphrase_file: Path, signers: Mapping[Key, str] | None = None
) -> Sheet:
    """Return the sheet of an armoured secret key, and of the armoured public keys of `signers`.

    Raises KeyWrong when a text is none.
    """
    titled = [("SECRET KEY", _packets(armoured))]
    for signer, public in (signers or {}).items():
        title = f"PUBLIC KEY that signs for host {signer.host}\nFingerprint  {spaced(signer.fingerprint, 4)}"
        titled.append((title, _packets(public)))
    pieces: list[str] = []
    parts: list[tuple[str, int]] = []
    for title, packets in titled:  # each key begins on a line of its own
        letters = base64.b64encode(packets).decode("ascii")
        parts.append((title, len(pieces) + 1))
        pieces += [letters[start : start + _LINE_LETTERS] for start in range(0, len(letters), _LINE_LETTERS)]
    lines = [f"{number:3}: {spaced(piece, _GROUP)} # {_sum(number, piece)}" for number, piece in enumerate(pieces, 1)]
    return Sheet(key=key, host=host, passphrase_file=str(passphrase_file), lines=tuple(lines), parts=tuple(parts))


def read_sheets(text: str) -> list[str]:
    """Return the armoured keys of every sheet in a text, each with its secret one first, whatever stands around lines.

    The lines of one may come in any order; the next one begins with its title, or with a line 1 that is another.
    Raises KeyWrong naming the lines that are mistyped, missing or there twice with different letters.
    """
    sheets = [sheet for sheet in _apart(text) if sheet]
    if not sheets:
        raise KeyWrong("there is no line of an escrow sheet in that file (number: letters # checksum)")
    found: list[str] = []
    for number, sheet in enumerate(sheets, 1):
        try:
            found.append(_read_sheet(sheet))
        except KeyWrong as error:
            if len(sheets) == 1:
                raise
            raise KeyWrong(f"of the {len(sheets)} sheets in that file, sheet {number}: {error}") from error
    return list(dict.fromkeys(found))


def _apart(text: str) -> Iterator[list[_Typed]]:
    """Yield the lines of each sheet in a text; some may be empty."""
    sheet: list[_Typed] = []
    first: str | None = None
    for line in text.splitlines():  # a page's end (form feed) ends a line, too
        match = _LINE.match(line)
        if match is None:
            if line.strip().startswith(_TITLE):
                yield sheet
                sheet, first = [], None
            continue
        typed = _Typed(number=int(match[1]), letters=match[2].replace(" ", ""), checksum=match[3].lower())
        if typed.number == 1 and typed.is_right:
            if first not in (None, typed.letters):
                yield sheet
                sheet = []
            first = typed.letters
        sheet.append(typed)
    yield sheet


def _read_sheet(lines: Sequence[_Typed]) -> str:
    found: dict[int, str] = {}
    wrong: set[int] = set()
    for line in lines:
        if not line.is_right or found.get(line.number, line.letters) != line.letters:
            wrong.add(line.number)
        found[line.number] = line.letters
    missing = sorted(set(range(1, max(found) + 1)) - found.keys())
    if wrong or missing:
        faults = [f"line {number} is mistyped" for number in sorted(wrong)]
        faults += [f"line {number} is missing" for number in missing]
        raise KeyWrong("; ".join(faults))
    try:
        packets = b"".join(base64.b64decode(found[number], validate=True) for number in sorted(found))
    except binascii.Error as error:
        raise KeyWrong("the last lines of the sheet are missing or mistyped") from error
    return armour(packets)


def is_sheet(text: str) -> bool:
    """Whether a text has lines of a sheet."""
    return any(_LINE.match(line) for line in text.splitlines())


def armour(packets: bytes) -> str:
    """Return OpenPGP packets of a secret key as armoured text (RFC 4880, section 6; without its optional checksum)."""
    letters = base64.b64encode(packets).decode("ascii")
    body = [letters[start : start + 64] for start in range(0, len(letters), 64)]
    return "\n".join([_BEGIN, "", *body, _END, ""])


def spaced(text: str, size: int) -> str:
    """Return `text` in groups of `size` letters."""
    return " ".join(text[start : start + size] for start in range(0, len(text), size))


def qr_texts(sheet: Sheet, lines_each: int = 8) -> Sequence[str]:
    """Return what each QR code of the sheet says: some of its lines, so that read in any order they make a sheet."""
    return ["\n".join(sheet.lines[start : start + lines_each]) for start in range(0, len(sheet.lines), lines_each)]


def _packets(armoured: str) -> bytes:
    """Return the packets of an armoured key. Raises KeyWrong."""
    lines = armoured.strip().splitlines()
    ends = (lines[0].strip(), lines[-1].strip()) if lines else ("", "")
    if ends not in ((_BEGIN, _END), (_PUBLIC_BEGIN, _PUBLIC_END)) or "" not in lines:
        raise KeyWrong("that is no armoured key")
    body = [line for line in lines[lines.index("") + 1 : -1] if not line.startswith("=")]
    return base64.b64decode("".join(body))


def _sum(number: int, piece: str) -> str:
    """Return the checksum of a line: CRC-24 of RFC 4880, over number and letters, six hex digits."""
    crc = 0xB704CE
    for byte in f"{number}:{piece}".encode("ascii"):
        crc ^= byte << 16
        for _ in range(8):
            crc <<= 1
            if crc & 0x1000000:
                crc ^= 0x1864CFB
    return f"{crc & 0xFFFFFF:06x}"
