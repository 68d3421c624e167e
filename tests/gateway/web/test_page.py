"""The page, rendered from a report."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator

from local_ai.gateway.web.page import Shelf, compressed, render_head, render_page
from local_ai.gateway.web.preferences import Preferences
from local_ai.gateway.web.texts import load_texts
from local_ai.gateway.web.view import make_view
from local_ai.settings.schema import LocalAISettings
from local_ai.status.report import Report
from local_ai.status.verdict import Health, Verdict


def test_page_is_whole_for_a_visitor_who_may_not_see_the_models():
    """One from another machine, where there are keys; so it is where no recommended model fits."""
    verdict = Verdict(Health.STOPPED, "Stopped", "the server is not running")
    report = Report(verdict, (), None, "127.0.0.1", 8080, None, None, (), None, "0.1.0")
    texts = load_texts()["en"]
    view = make_view(report, LocalAISettings(), None, texts.script)

    page = render_page(view, Preferences("auto", "en", texts), Shelf())

    assert "the server is not running" in page
    assert page.rstrip().endswith("</html>")


def test_page_can_be_read_part_by_part_and_its_head_knows_no_status():
    head = render_head(Preferences("auto", "en", load_texts()["en"]))

    async def parts() -> AsyncIterator[str]:
        yield head
        yield "the rest"

    async def read() -> list[str]:
        decompress = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        return [decompress.decompress(part).decode() async for part in compressed(parts())]

    assert asyncio.run(read()) == [head, "the rest", ""]
    assert head.rstrip().endswith("</style>")
