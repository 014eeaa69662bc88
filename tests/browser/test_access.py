"""What axe finds on our pages: names for readers, contrast, order of headings, in light and dark."""

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.hands import open_tab

NewPage = Callable[..., Page]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_keeps_anybody_out(new_page: NewPage, scheme: str) -> None:
    page = new_page(color_scheme=scheme)
    for tab in page.get_by_role("tab").all_inner_texts():
        open_tab(page, tab)
        if tab == "Explainer":  # a moment later the server has told what the cards show
            expect(page.locator("#card-steps .sw-strip-cell").first).to_be_visible()
            expect(page.locator("#card-grid .sw-strip-cell").last).to_be_attached()
        found = Axe().run(page, options={"resultTypes": ["violations"]})
        said = [
            (violation["id"], node["html"][:160])
            for violation in found.response["violations"]
            for node in violation["nodes"]
        ]
        assert not said, (tab, said)
