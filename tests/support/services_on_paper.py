"""What the services would answer to readers, written down by tests instead of lived through."""

from collections.abc import Sequence

import httpx
from pydantic import BaseModel

from contracts.audits import BarrierAudit, BookEntry
from tests.support.views_on_paper import ViewsOnPaper, totals_of


class ServicesOnPaper:
    """Answers reads of `http://<service>.test` with what is in `pages`, and 404 for the rest.

    The query side is a service of its own, at `http://views.test`.
    """

    def __init__(self) -> None:
        self.pages: dict[tuple[str, str], str] = {}
        """JSON, by service and path."""
        self.barriers = {
            service: BarrierAudit(position=0, undos=0, tombstones=0) for service in ("order", "payment", "shipping")
        }
        self.gateway: list[BookEntry] = []
        """The payment gateway's books."""
        self.views = ViewsOnPaper()
        self.down: set[str] = set()
        """Services that cannot be reached."""
        self.reads: list[tuple[str, str]] = []

    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self._answer)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        service, path = request.url.host.removesuffix(".test"), request.url.path
        self.reads.append((service, path))
        if service in self.down:
            raise httpx.ConnectError("down", request=request)
        if service == "views":
            return self.views.answer(request)
        prefix = request.url.params.get("prefix", "")
        match path:
            case "/audit/barrier":
                return httpx.Response(200, text=self.barriers[service].model_dump_json())
            case "/gateway/totals":
                return _listed(totals_of(self.gateway, prefix))
            case "/gateway/entries":
                return _listed([one for one in self.gateway if one.order_id.startswith(prefix)])
        page = self.pages.get((service, path))
        if page is None:
            problem = {"title": "Not Found", "status": 404, "code": "STREAM_NOT_FOUND", "detail": "nothing here"}
            return httpx.Response(404, json=problem)
        return httpx.Response(200, content=page, headers={"Content-Type": "application/json"})


def _listed(ones: Sequence[BaseModel]) -> httpx.Response:
    return httpx.Response(200, json=[one.model_dump(mode="json") for one in ones])
