"""Which tokens are believed, and what their claims are."""

from __future__ import annotations

import base64
import json
import re
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from django.core.exceptions import ImproperlyConfigured

from arcly_channels.conf import settings as conf
from arcly_channels.conf.identity import read_jwt
from arcly_channels.identity.claims import expiry_of, read_only
from arcly_channels.identity.tokens import TokenVerifier, issue_token
from arcly_channels.identity.verifier import get_verifier

SECRET = "s" * 32
OTHER = "o" * 32


def verifier(*keys: Any, **options: Any) -> TokenVerifier:
    read = read_jwt({"KEYS": list(keys) or [SECRET], **options})
    assert read is not None
    return TokenVerifier(read)


def token(
    key: Any = SECRET,
    algorithm: str = "HS256",
    headers: dict[str, Any] | None = None,
    **claims: Any,
) -> str:
    payload = {"sub": "ann", "type": "access", "exp": time.time() + 3600, **claims}
    payload = {name: value for name, value in payload.items() if value is not ...}
    return jwt.encode(payload, key, algorithm, headers=headers)


def segment(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def pem(key: Any) -> str:
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return str(public.decode())


RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
UNSIGNED = f"{segment({'alg': 'none'})}.{segment({'sub': 'ann', 'type': 'access'})}."


def test_a_valid_token_gives_its_own_claims() -> None:
    exp = int(time.time()) + 60
    claims = verifier().verify(token(exp=exp, role="admin", perms=["a:b"]))
    assert claims == {
        "sub": "ann", "type": "access", "exp": exp, "role": "admin", "perms": ("a:b",),
    }  # fmt: skip


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(token(key=OTHER), id="forged"),
        pytest.param(token(exp=time.time() - 1), id="expired"),
        pytest.param(token(exp=...), id="never expires"),
        pytest.param(token(exp="soon"), id="expiry of a wrong type"),
        pytest.param(token(exp="99999999999"), id="expiry in a string"),
        pytest.param(token(exp=1e300 * 1e10), id="infinite expiry"),
        pytest.param(token(nbf=time.time() + 3600), id="not valid yet"),
        pytest.param(token(type="refresh"), id="wrong type"),
        pytest.param(token(type=...), id="no type"),
        pytest.param(token(sub=...), id="no subject"),
        pytest.param(token(aud="elsewhere"), id="for somebody else"),
        pytest.param(token()[:-10], id="truncated"),
        pytest.param(token().rpartition(".")[0], id="two parts"),
        pytest.param(token() + ".x", id="four parts"),
        pytest.param(token(padding="x" * 8192), id="huge"),
        pytest.param(token(key="k" * 48, algorithm="HS384"), id="wrong algorithm"),
        pytest.param(token(headers={"kid": "gone", "crit": ["x"]}), id="unknown crit"),
        pytest.param(UNSIGNED, id="alg none, no signature"),
        pytest.param(UNSIGNED + "AAAA", id="alg none, some signature"),
        pytest.param(f"{segment({})}.{segment({})}.AAAA", id="no algorithm"),
        pytest.param(f"{segment([])}.{segment([])}.AAAA", id="header of a wrong type"),
        pytest.param(f"{segment({'alg': ['HS256']})}.{segment({})}.AAAA", id="list as algorithm"),
        pytest.param(f"{segment({'alg': 'HS256', 'kid': 1})}.{segment({})}.AAAA", id="odd kid"),
        pytest.param("A." * 2 + "A", id="not base64"),
        pytest.param(base64.b64encode(b"[" * 6000).decode().rstrip("=") + ".e30.AA", id="nested"),
        pytest.param("", id="empty"),
        pytest.param("\udcff.é.\x00", id="not ASCII"),
    ],
)  # fmt: skip
def test_a_bad_token_is_not_believed(bad: str) -> None:
    assert verifier().verify(bad) is None


def test_a_public_key_is_no_secret() -> None:
    """The classic confusion: a token signed with the public key's text as an HMAC secret."""
    header = {"alg": "HS256", "typ": "JWT"}
    body = f"{segment(header)}.{segment({'sub': 'ann', 'type': 'access', 'exp': 2e9})}"
    signature = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(
        body.encode(), pem(RSA).encode()
    )
    forged = f"{body}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"
    assert verifier({"KEY": pem(RSA), "ALGORITHM": "RS256"}).verify(forged) is None


@pytest.mark.parametrize(("key", "algorithm"), [(RSA, "RS256"), (RSA, "RS512"), (EC, "ES256")])
def test_asymmetric_keys_verify(key: Any, algorithm: str) -> None:
    subject = verifier({"KEY": pem(key), "ALGORITHM": algorithm})
    assert subject.verify(token(key, algorithm)) is not None
    assert subject.verify(token()) is None


def test_a_previous_key_still_verifies() -> None:
    assert verifier(SECRET, OTHER).verify(token(key=OTHER)) is not None


@pytest.mark.parametrize(
    ("kid", "key", "is_believed"),
    [("new", SECRET, True), ("old", OTHER, True), ("new", OTHER, False), ("gone", OTHER, False)],
)
def test_a_kid_names_the_key(kid: str, key: str, is_believed: bool) -> None:
    subject = verifier({"KEY": SECRET, "KID": "new"}, {"KEY": OTHER, "KID": "old"})
    assert (subject.verify(token(key, headers={"kid": kid})) is not None) is is_believed


def test_a_key_without_kid_verifies_tokens_of_any() -> None:
    assert verifier().verify(token(headers={"kid": "whatever"})) is not None


def test_the_leeway_covers_expiry_and_beginning() -> None:
    subject = verifier(LEEWAY=10)
    assert subject.verify(token(exp=time.time() - 5)) is not None
    assert subject.verify(token(nbf=time.time() + 5)) is not None
    assert subject.verify(token(exp=time.time() - 15)) is None


def test_issuer_and_audience_must_be_right() -> None:
    subject = verifier(ISSUER="us", AUDIENCE="here")
    assert subject.verify(token(iss="us", aud=["here", "there"])) is not None
    assert subject.verify(token(iss="them", aud="here")) is None
    assert subject.verify(token(iss="us", aud="there")) is None
    assert subject.verify(token(iss="us")) is None


def test_claims_are_read_only_at_every_depth() -> None:
    claims: Any = read_only({"a": {"b": 1}, "c": [{"d": 2}]})
    assert claims == {"a": {"b": 1}, "c": ({"d": 2},)}
    for target in (claims, claims["a"], claims["c"][0]):
        with pytest.raises(TypeError):
            target["x"] = 1


@pytest.mark.parametrize(
    ("claims", "expiry"),
    [
        (None, None), ({}, None), ({"exp": 7}, 7.0), ({"exp": True}, None), ({"exp": "7"}, None),
        ({"exp": 10**400}, None), ({"exp": -(10**400)}, 0.0), ({"exp": float("nan")}, None),
    ],
)  # fmt: skip
def test_expiry_of(claims: dict[str, Any] | None, expiry: float | None) -> None:
    assert expiry_of(claims) == expiry


def test_an_issued_token_is_believed(settings: Any) -> None:
    settings.ARCLY_CHANNELS = {
        "JWT": {"KEYS": [{"KEY": SECRET, "KID": "1"}], "ISSUER": "us", "AUDIENCE": ["here"]}
    }
    subject = get_verifier()
    assert subject is not None
    claims = subject.verify(issue_token({"sub": "ann"}))
    assert claims is not None
    assert claims["sub"] == "ann"


def test_tokens_are_not_issued_without_a_secret(settings: Any) -> None:
    settings.ARCLY_CHANNELS = {"JWT": {"KEYS": [{"KEY": pem(RSA), "ALGORITHM": "RS256"}]}}
    with pytest.raises(ImproperlyConfigured, match=r"has to be one"):
        issue_token({"sub": "ann"})


@pytest.mark.parametrize(
    ("key", "algorithm", "problem"),
    [
        ("not a PEM", "RS256", "is no RS256 key"),
        (pem(EC), "RS256", "is no RS256 key"),
        (pem(rsa.generate_private_key(65537, 1024)), "RS256", "shorter than 2048 bits"),
    ],
)
def test_an_unusable_key_is_named_but_not_shown(key: str, algorithm: str, problem: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=problem) as caught:
        verifier({"KEY": key, "ALGORITHM": algorithm})
    assert key not in str(caught.value)


def test_a_private_key_is_refused() -> None:
    private = RSA.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    with pytest.raises(ImproperlyConfigured, match="is a private key"):
        verifier({"KEY": private, "ALGORITHM": "RS256"})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"JWT": SECRET}, "JWT is not a dict"),
        ({"JWT": {}}, r'JWT\["KEYS"\] cannot be used'),
        ({"JWT": {"KEYS": []}}, r'JWT\["KEYS"\] cannot be used'),
        ({"JWT": {"KEYS": [SECRET], "LEEWAY": -1}}, r'JWT\["LEEWAY"\] cannot be used'),
        ({"JWT": {"KEYS": [SECRET], SECRET: 1}}, "JWT has an unknown key"),
        ({"JWT": {"KEYS": [SECRET[:31]]}}, r'JWT\["KEYS"\]\[0\] is a secret of 31 bytes'),
        ({"JWT": {"KEYS": [{"KEY": SECRET, "ALGORITHM": "HS512"}]}}, "a secret of 32 bytes"),
        ({"JWT": {"KEYS": [{"KEY": SECRET, "ALGORITHM": "none"}]}}, "not supported"),
        ({"JWT": {"KEYS": [pem(RSA)]}}, "is a PEM, but HS256 takes a secret"),
        ({"JWT": {"KEYS": [{"KEY": None}]}}, "is not a key"),
        ({"JWT": {"KEYS": [{"KEY": SECRET, "KID": 1}]}}, "KID that is no string"),
        ({"CLAIMS_FROM_USER": "nowhere"}, "CLAIMS_FROM_USER cannot be used"),
        ({"TENANTS": ["a"]}, "has tenants and no TENANT_STRATEGY"),
        ({"TENANTS": [{"id": "a b"}]}, r"TENANTS\[0\] has an unusable id"),
        ({"TENANTS": [{"name": "A"}]}, r"TENANTS\[0\] has an unusable id"),
        ({"TENANTS": [1]}, r"TENANTS\[0\] is not a tenant"),
        ({"TENANTS": {}}, "TENANTS cannot be used"),
        ({"TENANTS": [{"id": "a", "suspended": 1}]}, "suspended that is no bool"),
        ({"TENANT_STRATEGY": {"HOST": "x"}}, "TENANT_STRATEGY cannot be used"),
        ({"TENANT_STRATEGY": {"CLAIM": "x", "HEADER": "y"}}, "TENANT_STRATEGY cannot be used"),
        ({"TENANT_STRATEGY": {1: "x", "HEADER": "y"}}, "TENANT_STRATEGY cannot be used"),
        ({"TENANT_FALLBACK": "a,b"}, "TENANT_FALLBACK cannot be used"),
    ],
)
def test_a_wrong_setting_is_named_and_no_value_is_shown(given: Any, message: str) -> None:
    found = conf.problems(given)
    text = " ".join(f"{each.message} {each.hint}" for each in found)
    assert re.search(message, text)
    assert SECRET[:31] not in text
    assert "BEGIN" not in text


def test_the_settings_in_force_do_not_show_a_secret(settings: Any) -> None:
    settings.ARCLY_CHANNELS = {"JWT": {"KEYS": [SECRET, {"KEY": OTHER, "ALGORITHM": "HS256"}]}}
    shown = repr(conf.get_settings())
    assert SECRET not in shown
    assert OTHER not in shown
