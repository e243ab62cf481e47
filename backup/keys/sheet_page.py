"""The escrow sheet as a page to print and as QR codes for a terminal (segno, no network, no script)."""

from __future__ import annotations

import html
import io
from typing import TYPE_CHECKING

import segno

from backup.keys.sheet import qr_texts

if TYPE_CHECKING:
    from backup.keys.sheet import Sheet

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Escrow sheet of {name}</title>
<style>
body {{ font: 11pt/1.35 sans-serif; margin: 12mm; color: #000; background: #fff; }}
pre {{ font: 9.5pt/1.35 monospace; white-space: pre-wrap; }}
figure {{ display: inline-block; margin: 3mm; text-align: center; break-inside: avoid; }}
svg {{ width: 60mm; height: 60mm; }}
</style>
<pre>{text}</pre>
<section aria-label="QR codes">{codes}</section>
</html>
"""


def sheet_page(sheet: Sheet) -> str:
    """Return the sheet as one HTML page that needs nothing else: the text, then its lines as numbered QR codes."""
    texts = qr_texts(sheet)
    figures = [
        f"<figure>{_svg(text)}<figcaption>QR code {number} of {len(texts)}</figcaption></figure>"
        for number, text in enumerate(texts, 1)
    ]
    return _PAGE.format(name=html.escape(sheet.key.name), text=html.escape(sheet.text), codes="".join(figures))


def terminal_codes(sheet: Sheet) -> str:
    """Return the QR codes as text for a terminal, each below its number."""
    out = io.StringIO()
    texts = qr_texts(sheet)
    for number, text in enumerate(texts, 1):
        out.write(f"QR code {number} of {len(texts)}\n")
        segno.make(text, error="m", micro=False).terminal(out=out, compact=True)
        out.write("\n")
    return out.getvalue()


def _svg(text: str) -> str:
    return str(segno.make(text, error="m", micro=False).svg_inline(scale=3, omitsize=True))
