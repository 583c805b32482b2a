"""Stock is real: taken once, given back, never below zero, and seeded from a file."""

import asyncio
from pathlib import Path

import pytest

from contracts.commands import ReceiveStock
from services.shipping.app import create_app as create_shipping_app
from services.shipping.seeding import UnusableStockFile, read_stock_file
from tests.support.builders import random_sku
from tests.support.databases import Databases
from tests.support.service_client import SagaAt, Service, in_memory
from tests.support.stock import receive, stock_of

EXAMPLE = Path(__file__).parents[3] / "examples" / "stock.toml"


class TestStock:
    async def test_stock_when_booked_cancelled_and_dispatched_then_it_follows(self, shipping: Service) -> None:
        sku = await receive(shipping, 10)
        first, second = SagaAt(shipping), SagaAt(shipping)

        await first.send(first.commands.book_shipment((sku, 3)))
        await second.send(second.commands.book_shipment((sku, 4)))
        await first.send(first.commands.cancel_shipment())
        await second.send(second.commands.dispatch_shipment())

        seen = [tuple((await stock_of(shipping, sku, version)).values()) for version in range(1, 6)]
        #       received, on hand, booked, dispatched
        assert seen == [(10, 10, 0, 0), (10, 7, 3, 0), (10, 3, 7, 0), (10, 6, 4, 0), (10, 6, 0, 4)]
        assert tuple((await stock_of(shipping, sku)).values()) == seen[-1]
        assert (await shipping.stream(f"stock-{sku}"))["state"] == {**await stock_of(shipping, sku), "taken_back": 0}

    async def test_receive_when_sent_again_then_it_counts_once(self, shipping: Service) -> None:
        sku = await receive(shipping, 10)

        again = await shipping.send(ReceiveStock(sku=sku, quantity=10), key=f"receive-{sku}")

        assert again.json()["outcome"] == "done"
        assert (await stock_of(shipping, sku))["received"] == 10

    async def test_book_when_one_of_two_skus_is_out_then_neither_is_taken(self, shipping: Service) -> None:
        plenty, scarce = await receive(shipping, 10), await receive(shipping, 1)
        saga = SagaAt(shipping)

        response = await saga.send(saga.commands.book_shipment((plenty, 1), (scarce, 2)))

        assert response.json()["code"] == "OUT_OF_STOCK"
        assert scarce in response.json()["detail"]
        assert (await stock_of(shipping, plenty))["on_hand"] == 10

    async def test_refusal_when_stock_comes_later_then_it_stays_for_its_saga_only(self, shipping: Service) -> None:
        sku = random_sku()
        early, late = SagaAt(shipping), SagaAt(shipping)
        refused = await early.outcome(early.commands.book_shipment((sku, 1)))
        await shipping.send(ReceiveStock(sku=sku, quantity=1), key=f"receive-{sku}")

        assert (refused, await early.outcome(early.commands.book_shipment((sku, 1)))) == ("OUT_OF_STOCK",) * 2
        assert await late.outcome(late.commands.book_shipment((sku, 1))) == "done"

    async def test_book_when_50_sagas_want_10_units_then_10_get_one_and_40_are_refused(self, shipping: Service) -> None:
        sku = await receive(shipping, 10)
        sagas = [SagaAt(shipping) for _ in range(50)]

        outcomes = await asyncio.gather(*(saga.outcome(saga.commands.book_shipment((sku, 1))) for saga in sagas))

        assert (outcomes.count("done"), outcomes.count("OUT_OF_STOCK")) == (10, 40)
        assert await stock_of(shipping, sku) == {"received": 10, "on_hand": 0, "booked": 10, "dispatched": 0}

    async def test_cancel_when_sent_20_times_at_once_then_the_units_come_back_once(self, shipping: Service) -> None:
        sku = await receive(shipping, 10)
        saga = SagaAt(shipping)
        await saga.send(saga.commands.book_shipment((sku, 4)))

        outcomes = await asyncio.gather(*(saga.outcome(saga.commands.cancel_shipment()) for _ in range(20)))

        assert set(outcomes) == {"done"}
        assert (await stock_of(shipping, sku))["on_hand"] == 10

    async def test_stock_when_listed_then_every_sku_that_was_received(self, shipping: Service) -> None:
        skus = sorted([await receive(shipping, 1), await receive(shipping, 2)])

        listed = (await shipping.http.get("/stock")).json()

        assert [entry["sku"] for entry in listed] == skus

    async def test_stock_when_the_sku_is_unknown_then_404(self, shipping: Service) -> None:
        assert (await shipping.http.get("/stock/UNKNOWN")).status_code == 404


class TestSeed:
    @pytest.fixture
    def back_end(self) -> str:
        return "sqlite"

    async def start(self, databases: Databases, folder: Path, content: str) -> dict[str, int]:
        """The stock on hand after a start with this file."""
        stock_file = folder / "stock.toml"
        stock_file.write_text(content)
        url = databases.url("shipping")
        app = create_shipping_app(database_url=url, stock_file=stock_file, fault_injection=False)
        async with in_memory(app) as service:
            return {entry["sku"]: entry["on_hand"] for entry in (await service.http.get("/stock")).json()}

    async def test_seed_when_started_again_then_nothing_is_received_twice(
        self, databases: Databases, tmp_path: Path
    ) -> None:
        first = await self.start(databases, tmp_path, "[stock]\nMUG-1 = 5")

        again = await self.start(databases, tmp_path, "[stock]\nMUG-1 = 5")

        assert (first, again) == ({"MUG-1": 5}, {"MUG-1": 5})

    async def test_seed_when_the_file_changed_then_only_new_skus_are_received(
        self, databases: Databases, tmp_path: Path
    ) -> None:
        await self.start(databases, tmp_path, "[stock]\nMUG-1 = 5")

        assert await self.start(databases, tmp_path, '[stock]\nMUG-1 = 9\n"CUP.2" = 1') == {"CUP.2": 1, "MUG-1": 5}

    def test_seed_when_it_is_the_example_then_it_is_read(self) -> None:
        assert read_stock_file(EXAMPLE)["RARE-1"] == 1

    @pytest.mark.parametrize(
        ("content", "says"),
        [
            ("MUG-1 5", "is not TOML"),
            ("MUG-1 = 5", r"\[stock\]"),
            ("[stock]\nMUG-1 = -5", "MUG-1"),
            ("[stock]\nMUG-1 = 'five'", "MUG-1"),
            ("[stock]\nCUP.2 = 5", "CUP"),
            ("stock = 5", r"\[stock\]"),
            ('[stock]\n"../MUG" = 5', r"\.\./MUG"),
        ],
    )
    def test_seed_when_the_file_is_broken_then_one_line_says_where(
        self, tmp_path: Path, content: str, says: str
    ) -> None:
        stock_file = tmp_path / "stock.toml"
        stock_file.write_text(content)

        with pytest.raises(UnusableStockFile, match=says) as raised:
            read_stock_file(stock_file)

        assert str(raised.value).startswith(str(stock_file))
        assert "\n" not in str(raised.value)

    def test_seed_when_the_file_is_missing_then_it_says_so(self, tmp_path: Path) -> None:
        with pytest.raises(UnusableStockFile, match="No such file"):
            read_stock_file(tmp_path / "none.toml")
