"""What the services would answer to readers, written down by tests instead of lived through."""

import httpx

from tests.support.views_on_paper import ViewsOnPaper


class ServicesOnPaper:
    """Answers reads of `http://<service>.test` with what is in `pages`, and 404 for the rest.

    The query side is a service of its own, at `http://views.test`.
    """

    def __init__(self) -> None:
        self.pages: dict[tuple[str, str], str] = {}
        """JSON, by service and path."""
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
        page = self.pages.get((service, path))
        if page is None:
            problem = {"title": "Not Found", "status": 404, "code": "STREAM_NOT_FOUND", "detail": "nothing here"}
            return httpx.Response(404, json=problem)
        return httpx.Response(200, content=page, headers={"Content-Type": "application/json"})
