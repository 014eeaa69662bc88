"""The gallery: looking, choosing, deleting."""

from typing import Any

import gradio as gr

from core.errors import UserError
from ui import session, views
from ui.context import Context
from ui.events import text
from ui.served import Served

Update = dict[str, Any]
PAGE = 24  # pictures


class Browsing:
    """Handlers of the gallery's wall."""

    def __init__(self, context: Context, served: Served) -> None:
        self._context, self._served = context, served

    def first_page(self, kept: Any, request: gr.Request) -> Update:
        return self._page(session.owner(kept, request), "", "")

    def turn(self, kept: Any, event: gr.EventData, request: gr.Request) -> Update:
        """The pictures after `before` that have all words of `search`."""
        return self._page(session.owner(kept, request), text(event, "before"), text(event, "search"))

    def pick(self, kept: Any, event: gr.EventData, request: gr.Request) -> Update:
        """One picture, large."""
        try:
            item = self._context.gallery.get(text(event, "id"), self._sees(kept, request))
        except UserError:
            return self.turn(kept, event, request)
        gallery = self._context.gallery
        series = [views.thumbnail(one, gallery, self._served) for one in gallery.series(item)] if item.series else []
        return gr.update(chosen=views.picture(item, self._served) | {"series": series})

    def remove(self, kept: Any, event: gr.EventData, request: gr.Request) -> Update:
        """Deletes one's own picture, or its whole sweep; the page has asked whether that is meant."""
        gallery, sees = self._context.gallery, self._sees(kept, request)
        item = gallery.get(text(event, "id"), sees)
        for one in gallery.series(item) if text(event, "whole") else [item]:
            gallery.delete(one.id, sees)
        return self.turn(kept, event, request)

    def _page(self, owner: str, before: str, search: str) -> Update:
        gallery, sees = self._context.gallery, self._context.sees(owner)
        items = gallery.list(sees, limit=PAGE + 1, before=before or None, search=search)
        shown = items[:PAGE]
        page = {
            "items": [views.thumbnail(item, gallery, self._served) for item in shown],
            "next": shown[-1].id if len(items) > PAGE else None,
            "total": gallery.count(sees, search),
        }
        return gr.update(value=page, chosen=None)

    def _sees(self, kept: Any, request: gr.Request) -> str | None:
        return self._context.sees(session.owner(kept, request))
