"""The setting ARCLY_CHANNELS: its defaults, and what is wrong with a value of it."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from arcly_channels.conf import limits
from arcly_channels.conf.settings import get_settings, problems

if TYPE_CHECKING:
    from pytest_django import Settings

DEFAULTS = {
    "OUTBOUND_BUFFER": 256,
    "OUTBOUND_BUFFER_BYTES": 1048576,
    "EVICTION_GRACE": 1.0,
    "INBOUND_BUFFER": 64,
    "MAX_FRAME_BYTES": 1024 * 1024,
    "STALL_TIMEOUT": 30,
    "INBOUND_BUFFER_BYTES": 256 * 1024,
    "MAX_ROOMS_PER_CONNECTION": 100,
    "MAX_CONNECTIONS": 0,
    "MAX_CONNECTIONS_PER_USER": 0,
    "MAX_CONNECTIONS_PER_ADDRESS": 0,
    "MAX_MESSAGE_BYTES": 1024 * 1024,
    "HANDSHAKE_TIMEOUT": 10,
    "PING_INTERVAL": 20,
    "IDLE_TIMEOUT": 60,
    "DRAIN_DEADLINE": 10,
    "RECONNECT_RATE": 500,
    "TOKEN_GRACE": 0,
    "TENANT_CACHE_SECONDS": 60,
}
OTHERS = {
    "RATE_LIMIT": {"events": 100, "bytes": 1024 * 1024, "burst": 10, "errors": 20},
    "TRUSTED_PROXIES": (),
    "JWT": None,
    "CLAIMS_FROM_USER": None,
    "DISCONNECT_ON_LOGOUT": True,
    "QUERY_TOKENS": True,
    "WATCH_KEY": None,
    "TENANTS": (),
    "TENANT_STRATEGY": None,
    "TENANT_FALLBACK": None,
    "SCHEMA": None,
}
"""Those that are no numbers."""


def test_defaults_are_the_seeds(settings: Settings) -> None:
    settings.ARCLY_CHANNELS = {}
    assert dataclasses.asdict(get_settings()) == {**DEFAULTS, **OTHERS}


def test_project_without_the_setting_has_the_defaults(settings: Settings) -> None:
    del settings.ARCLY_CHANNELS
    assert dataclasses.asdict(get_settings()) == {**DEFAULTS, **OTHERS}


def test_given_value_is_in_force_and_the_others_keep_their_defaults(
    settings: Settings,
) -> None:
    settings.ARCLY_CHANNELS = {"OUTBOUND_BUFFER": 8}
    assert dataclasses.asdict(get_settings()) == {
        **DEFAULTS,
        **OTHERS,
        "OUTBOUND_BUFFER": 8,
    }


def test_changed_setting_is_in_force_at_once(settings: Settings) -> None:
    settings.ARCLY_CHANNELS = {"MAX_CONNECTIONS": 1}
    get_settings()
    settings.ARCLY_CHANNELS = {"MAX_CONNECTIONS": 2}
    assert get_settings().MAX_CONNECTIONS == 2


@pytest.mark.parametrize("key", DEFAULTS)
def test_default_is_without_problems(key: str) -> None:
    assert problems({key: DEFAULTS[key]}) == []


@pytest.mark.parametrize("key", sorted(DEFAULTS.keys() - {"OUTBOUND_BUFFER_BYTES"}))
@pytest.mark.parametrize("value", ["1", None, True, -1, math.nan, math.inf, [1]])
def test_value_that_is_no_number_from_zero_is_a_problem(key: str, value: Any) -> None:
    (problem,) = problems({key: value})
    assert problem.message == f"ARCLY_CHANNELS[{key!r}] is {value!r}"


@pytest.mark.parametrize("key", ["OUTBOUND_BUFFER", "OUTBOUND_BUFFER_BYTES"])
def test_buffer_of_nothing_is_a_problem(key: str) -> None:
    (problem,) = problems({key: 0})
    assert problem.hint == "A whole number of at least 1 is needed."


@pytest.mark.parametrize("key", ["QUERY_TOKENS", "DISCONNECT_ON_LOGOUT"])
def test_switch_that_is_neither_is_a_problem(key: str) -> None:
    (problem,) = problems({key: 1})
    assert problem.hint == "Write True or False."


@pytest.mark.parametrize("key", ["", "short", 16 * b"k", 16, True])
def test_key_that_can_be_guessed_or_is_none_is_a_problem(key: object) -> None:
    (problem,) = problems({"WATCH_KEY": key})
    assert problem.message == "ARCLY_CHANNELS: WATCH_KEY cannot be used"
    assert problems({"WATCH_KEY": 16 * "k"}) == []


@pytest.mark.parametrize("key", ["OUTBOUND_BUFFER", "INBOUND_BUFFER", "MAX_CONNECTIONS"])
def test_count_that_is_not_whole_is_a_problem(key: str) -> None:
    assert len(problems({key: 1.5})) == 1


@pytest.mark.parametrize("key", ["EVICTION_GRACE", "PING_INTERVAL", "STALL_TIMEOUT"])
@pytest.mark.parametrize("value", [0, 0.5, 7])
def test_duration_is_any_number_from_zero(key: str, value: float) -> None:
    assert problems({key: value}) == []


def test_unknown_key_is_a_problem_and_the_hint_names_the_keys() -> None:
    (problem,) = problems({"OUTBOUND_BUFER": 1})
    assert "OUTBOUND_BUFER" in problem.message
    assert all(key in problem.hint for key in DEFAULTS)


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ({"OUTBOUND_BUFER": 1}, "Did you mean OUTBOUND_BUFFER? "),
        ({"TENANT": []}, "Did you mean TENANTS? "),
        ({"jwt": None}, "Did you mean JWT? "),
        ({"MAXIMUM": 1}, "The keys are "),
        ({1: 1}, "The keys are "),
        ({"JWT": {"KEYS": ["s" * 32], "AUDIENCES": "x"}}, "Did you mean AUDIENCE? "),
        ({"JWT": {"KEYS": ["s" * 32], "key": "x"}}, "Did you mean KEYS? "),
    ],
)
def test_hint_about_an_unknown_key_says_what_was_meant(given: Any, hint: str) -> None:
    (problem,) = problems(given)
    assert problem.hint.startswith(hint)


@pytest.mark.parametrize("given", [None, [], "OUTBOUND_BUFFER", 1])
def test_setting_that_is_no_dict_is_a_problem(given: object) -> None:
    (problem,) = problems(given)
    assert problem.message == "ARCLY_CHANNELS is not a dict"


def test_bad_settings_raise_with_everything_that_is_wrong(settings: Settings) -> None:
    settings.ARCLY_CHANNELS = {"OUTBOUND_BUFFER": 0, "NONE_SUCH": 1}
    with pytest.raises(ImproperlyConfigured, match=r"OUTBOUND_BUFFER.*NONE_SUCH"):
        get_settings()


@pytest.mark.parametrize(
    ("value", "limit"),
    [
        (0, limits.OFF),
        (None, limits.OFF),
        ({}, limits.RateLimit()),
        ({"EVENTS": 5}, limits.RateLimit(events=5)),
        ({"BYTES": 0, "BURST": 0.5, "ERRORS": 0}, limits.RateLimit(bytes=0, burst=0.5, errors=0)),
    ],
)
def test_rate_limit_that_can_be_used(settings: Settings, value: Any, limit: Any) -> None:
    settings.ARCLY_CHANNELS = {"RATE_LIMIT": value}
    assert limit == get_settings().RATE_LIMIT


@pytest.mark.parametrize(
    "value",
    [
        *(5, True, False, "100/s", [], {"EVENT": 5}, {"EVENTS": -1}, {"BYTES": "1"}, {"BURST": 0}),
        {"EVENTS": 0.1, "BURST": 5},
    ],
)
def test_rate_limit_that_cannot_be_used_is_a_problem(value: Any) -> None:
    (problem,) = problems({"RATE_LIMIT": value})
    assert "RATE_LIMIT" in problem.message


@pytest.mark.parametrize("value", [["unix"], ["10.0.0.0/8", "::1"], ("192.0.2.1",), []])
def test_proxies_that_can_be_trusted(value: Any) -> None:
    assert problems({"TRUSTED_PROXIES": value}) == []


@pytest.mark.parametrize("value", ["10.0.0.0/8", None, ["10.0.0.1/8"], ["proxy"], [5], [["::1"]]])
def test_proxies_that_are_no_networks_are_a_problem(value: Any) -> None:
    (problem,) = problems({"TRUSTED_PROXIES": value})
    assert "10.0.0.0/8" in problem.hint


def test_address_with_the_size_of_its_network_is_told_which_network_that_is() -> None:
    (problem,) = problems({"TRUSTED_PROXIES": ["10.1.2.3/16"]})
    assert problem.hint.startswith("Did you mean 10.1.0.0/16? ")


@pytest.mark.parametrize(
    ("interval", "timeout", "is_wrong"), [(20, 20, True), (20, 21, False), (20, 0, False)]
)
def test_nobody_is_closed_before_being_asked(interval: int, timeout: int, is_wrong: bool) -> None:
    found = problems({"PING_INTERVAL": interval, "IDLE_TIMEOUT": timeout})
    message = (
        "PING_INTERVAL is 20 and IDLE_TIMEOUT 20: clients would be closed before they are asked"
    )
    assert [each.message for each in found] == [f"ARCLY_CHANNELS: {message}"] * is_wrong
