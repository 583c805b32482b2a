import os
import socket

import pytest

from run.errors import CannotRun, PortTaken
from run.ports import settle_ports
from run.settings import Settings

NEEDED = ["order_port", "payment_port"]


def settings(**ports: int | str) -> Settings:
    return Settings.model_validate({"host": "127.0.0.1", "order_port": 0, "payment_port": 0} | ports)


def test_ports_when_zero_become_different_free_ones() -> None:
    settled = settle_ports(settings(), NEEDED)

    assert 0 not in (settled.order_port, settled.payment_port)
    assert settled.order_port != settled.payment_port


def test_port_when_taken_is_named_with_its_part_its_setting_and_its_holder() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(PortTaken) as caught:
            settle_ports(settings(payment_port=port), NEEDED)

    message = str(caught.value)
    assert f"port {port} of the payment service is in use by process {os.getpid()}" in message
    assert "AMENDS_PAYMENT_PORT" in message
    assert "\n" not in message


def test_port_when_only_listened_at_before_is_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    assert settle_ports(settings(order_port=port), NEEDED).order_port == port


def test_ports_when_two_are_the_same_are_both_named() -> None:
    port = settle_ports(settings(), NEEDED).order_port

    with pytest.raises(CannotRun, match="AMENDS_ORDER_PORT and AMENDS_PAYMENT_PORT"):
        settle_ports(settings(order_port=port, payment_port=port), NEEDED)


def test_host_when_not_of_this_machine_is_named() -> None:
    with pytest.raises(CannotRun, match="AMENDS_HOST"):
        settle_ports(settings(host="192.0.2.1"), NEEDED)
