"""The page, rendered from a report."""

from __future__ import annotations

from local_ai.gateway.web.page import Shelf, render_page
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
