"""What is asked of every page, whatever it shows: that it fits, that it can be read, that axe finds nothing."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from playwright.async_api import Page

_SETTLING_SECONDS: Final = 20.0
_AXE: Final = Path(__file__).parents[2] / "dashboards" / "front" / "node_modules" / "axe-core" / "axe.min.js"
# Whatever reaches beyond the window and is not cut off or scrolled by something that fits.
_OVERFLOWING: Final = """() => {
  const wide = document.documentElement.clientWidth;
  const whole = document.documentElement.scrollWidth;
  const found = whole > wide ? [`the page: ${whole}`] : [];
  for (const element of document.querySelectorAll("body *")) {
    const box = element.getBoundingClientRect();
    if (box.width === 0 || box.right <= wide + 1) continue;
    let above = element.parentElement;
    while (above && getComputedStyle(above).overflowX === "visible") above = above.parentElement;
    if (!above || above === document.documentElement || above === document.body)
      found.push(`${element.tagName}.${element.className} to ${Math.round(box.right)}`);
  }
  return found;
}"""
# Relative luminance (WCAG 2.2) of the ground and the ink that are drawn.
_LUMINANCES: Final = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const luminance = (colour) => {
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data]
      .map((part) => part / 255).map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const body = getComputedStyle(document.body);
  const root = getComputedStyle(document.documentElement).backgroundColor;
  const ground = body.backgroundColor === "rgba(0, 0, 0, 0)" ? root : body.backgroundColor;
  return [luminance(ground), luminance(getComputedStyle(document.querySelector("h1")).color)];
}"""
# Transitions are waited for: a colour on its way is no colour of the page.
_FINDINGS: Final = """async () => {
  await Promise.all(document.getAnimations().map((animation) => animation.finished.catch(() => undefined)));
  return (await axe.run()).violations.map((found) => ({
    rule: found.id, where: found.nodes.map((node) => `${node.target}: ${node.failureSummary}`),
  }));
}"""


async def _staying(page: Page, question: str) -> list[Any]:
    """Return what is found at last: a page on its way to what was just asked of it may show what does not stay."""
    deadline = time.monotonic() + _SETTLING_SECONDS
    found: list[Any] = await page.evaluate(question)
    while found and time.monotonic() < deadline:
        await asyncio.sleep(0.2)
        found = await page.evaluate(question)
    return found


async def assert_accessible(page: Page) -> None:
    """Fail with what axe finds on the page as it is now: rules of WCAG 2.2 A and AA, and its best practices."""
    if not await page.evaluate("() => 'axe' in window"):
        await page.evaluate(_AXE.read_text())  # not as a script element: the page's policy would refuse it
    found = await _staying(page, _FINDINGS)
    assert found == [], f"{page.url}: {found}"


async def assert_fitting(page: Page) -> None:
    """Fail when anything reaches beyond the window."""
    found = await _staying(page, _OVERFLOWING)
    assert found == [], f"{page.url}: {found}"


async def assert_readable(page: Page, *, is_dark: bool) -> None:
    """Fail when the page does not have the asked colours, or too little contrast."""
    ground, ink = await page.evaluate(_LUMINANCES)
    assert (ground < 0.1) is is_dark, (page.url, ground)
    lighter, darker = max(ground, ink), min(ground, ink)
    assert (lighter + 0.05) / (darker + 0.05) >= 4.5, page.url
