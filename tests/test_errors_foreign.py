"""No exception of the libraries underneath reaches a trainer: what is wrong is an error of ours, with a sentence."""

from __future__ import annotations

from typing import Any

import pytest
from requirements import requirement
from support.servers import bounded

from openenv_async import AsyncEnv
from openenv_async.errors import ConnectFailed, EnvError, UsageError
from openenv_async.transport.address import Address
from openenv_async.transport.link import LinkRefused
from openenv_async.transport.proxy_client import open_proxy_link

NO_ADDRESSES = [
    "http://" + "a" * 300 + ":80",
    "http://..:80",
    "http://localhost:99999",
    "http://localhost:0",
    "http://localhost:port",
    "http://[::1",
    "http://\udcff:80",
    "http://",
    "ftp://localhost",
    "unix:relative",
]

NOBODY_THERE = [
    "127.0.0.1:1",
    "https://127.0.0.1:1",
    "http://exa mple.invalid:80",
    "http://[::1]:1",
    "unix:/nowhere/at/all",
    "unix:/" + "x" * 300,
    "127.0.0.1:1/\udcff",
]


@requirement("errors:foreign")
@pytest.mark.parametrize("address", NO_ADDRESSES)
def test_what_is_no_address_is_told_before_anything_is_sent(address: str) -> None:
    with pytest.raises(UsageError, match="use http|needs an absolute path"):
        AsyncEnv[Any, Any, Any](address)


@requirement("errors:foreign")
@pytest.mark.parametrize("address", NOBODY_THERE)
async def test_where_nobody_answers_is_connect_failed(address: str) -> None:
    with pytest.raises(ConnectFailed, match="is an environment server running there") as failed:
        await bounded(AsyncEnv[Any, Any, Any].connect(address, connect_timeout_s=3))
    assert isinstance(failed.value, EnvError)
    assert failed.value.retryable


@requirement("errors:foreign")
@pytest.mark.parametrize("host", ["127.0.0.1:1", "exa mple.invalid"])
async def test_the_link_for_tls_and_proxies_refuses_alike(host: str) -> None:
    with pytest.raises(LinkRefused):
        await bounded(open_proxy_link(Address(url=f"http://{host}/ws", connect_timeout_s=3)))


@requirement("errors:foreign")
@pytest.mark.parametrize(
    "headers", [{"x": "a\r\nevil: 1"}, {"x y": "z"}, {"x": "\u20ac"}, {"": "z"}, {"x": "\0"}, {"x": " z"}, {"x": "z\t"}]
)
def test_a_header_that_http_cannot_carry_is_refused_without_showing_it(headers: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="characters that HTTP cannot carry") as refused:
        AsyncEnv[Any, Any, Any]("localhost:1", headers=headers)
    assert "evil" not in str(refused.value)
    with pytest.raises(ValueError, match="'Authorization' has characters"):
        AsyncEnv[Any, Any, Any]("localhost:1", token="secret\n")
