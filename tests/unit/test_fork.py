"""A layer in a forked child: empty, as it was configured, and free of its parent's locks."""

from __future__ import annotations

import gc
import os
import threading
import time
import weakref
from collections.abc import Callable

import pytest

from arcly_channels.fanout import rows
from arcly_channels.fanout.outbox import Outbox
from arcly_channels.identity import tenancy
from arcly_channels.identity.tenancy import TenantRegistry, get_tenants
from arcly_channels.layers import LocalChannelLayer
from arcly_channels.logs import Repeats
from arcly_channels.registry import ConnectionRegistry
from arcly_channels.testing.waiting import DEADLINE

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),  # Since Python 3.12.
]

CHANNEL = "specific.test!own"
MESSAGE = {"type": "test.message"}


def succeeds_in_child(work: Callable[[], bool]) -> bool:
    """Run `work` in a forked child, and return what it did; False if it hangs or raises."""
    child = os.fork()
    if not child:
        ended = 1
        try:
            ended = 0 if work() else 1
        finally:
            os._exit(ended)
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return status == 0
        time.sleep(0.001)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return False


def use(layer: LocalChannelLayer) -> bool:
    layer.group_send_now("group", MESSAGE)
    layer.send_now(CHANNEL, MESSAGE)
    return layer.channels[CHANNEL].qsize() == 1


@pytest.mark.usefixtures("many_switches")
def test_layer_works_in_a_child_whatever_threads_were_doing() -> None:
    layer, ended = LocalChannelLayer(capacity=100), threading.Event()

    def work() -> None:
        while not ended.is_set():
            layer._channels.join("group", CHANNEL)
            layer.group_send_now("group", MESSAGE)
            layer.send_now(CHANNEL, MESSAGE)
            layer._channels.leave("group", CHANNEL)
            layer.channels.clear()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        assert all(succeeds_in_child(lambda: use(layer)) for _ in range(20))
    finally:
        ended.set()
        for thread in threads:
            thread.join(DEADLINE)


def test_connection_of_a_child_gets_an_id_whatever_threads_were_doing() -> None:
    with rows._id_lock:  # As a thread of the parent may.
        assert succeeds_in_child(lambda: LocalChannelLayer().registry.register(Outbox()) > 0)


def test_registry_without_a_layer_works_in_a_child_whatever_threads_were_doing() -> None:
    registry = ConnectionRegistry(shards=1)
    with registry._shards[0].lock:
        assert succeeds_in_child(lambda: registry.register(Outbox()) > 0)


def test_source_of_tenants_is_asked_in_a_child_whatever_threads_were_doing() -> None:
    asked, ended, parent = threading.Event(), threading.Event(), os.getpid()

    def source() -> list[str]:
        if os.getpid() == parent:
            asked.set()
            ended.wait(DEADLINE)
        return ["acme"]

    def is_answered() -> bool:
        tenants.refresh()
        return tenants.is_serving("acme")

    tenants = TenantRegistry(source=source)
    thread = threading.Thread(target=tenants.refresh)
    thread.start()
    assert asked.wait(DEADLINE)
    try:
        assert succeeds_in_child(is_answered)
    finally:
        ended.set()
        thread.join(DEADLINE)


def test_tenants_change_in_a_child_whatever_threads_were_doing() -> None:
    tenants = TenantRegistry(["acme"])
    with tenants._lock:
        assert succeeds_in_child(lambda: tenants.suspend("acme"))


def test_tenants_are_made_in_a_child_whatever_threads_were_doing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tenancy, "_registry", None)
    with tenancy._making:
        assert succeeds_in_child(lambda: get_tenants().get("acme") is None)


def test_tenant_that_was_suspended_is_so_in_a_child() -> None:
    tenants = TenantRegistry(["acme"])
    tenants.suspend("acme")
    assert succeeds_in_child(lambda: not tenants.is_serving("acme"))


def test_failure_is_logged_in_a_child_whatever_threads_were_doing() -> None:
    failures = Repeats()
    with failures._lock:
        assert succeeds_in_child(lambda: failures.due("handler") == 0)


def test_layer_in_a_child_is_empty_and_configured_as_before() -> None:
    layer = LocalChannelLayer(capacity=7, overflow="drop_oldest")
    layer.send_now(CHANNEL, MESSAGE)

    def is_new() -> bool:
        for _ in range(7):
            layer.send_now(CHANNEL, MESSAGE)
        return layer.channels[CHANNEL].qsize() == 7

    assert succeeds_in_child(is_new)
    assert layer.channels[CHANNEL].qsize() == 1


def test_layer_is_not_kept_for_the_sake_of_children() -> None:
    layer = weakref.ref(LocalChannelLayer())
    gc.collect()
    assert layer() is None
