"""Malformed, oversized and nested JSON and JWS; wrong alg, url, kid, jwk; replayed, stale and foreign nonces."""
import base64
import hmac
import itertools
import json

import pytest
import requests

from jws_client import ERROR, Acme, Key, assert_problem, assert_sentence, b64

COUNTER = itertools.count()


@pytest.fixture(scope="module")
def account(app):
    return Acme(app).register()


@pytest.fixture(autouse=True)
def still_issues(app):
    """After whatever the test sent, the server gives a certificate to somebody else."""
    yield
    Acme(app).register().issue(f"after{next(COUNTER)}.svc.test")


def order_payload(name="bad.svc.test"):
    return {"identifiers": [{"type": "dns", "value": name}]}


BODIES = {
    "empty": b"",
    "not json": b"hello",
    "half a json": b'{"protected":"',
    "array": b"[]",
    "number": b"17",
    "null": b"null",
    "empty object": b"{}",
    "nul bytes": b"\0" * 64,
    "invalid utf-8": b'{"protected":"\xff\xfe","payload":"","signature":""}',
    "no signature": {"protected": "e30", "payload": ""},
    "numbers as members": {"protected": 1, "payload": 2, "signature": 3},
    "not base64url": {"protected": "e30=", "payload": "+/+/", "signature": "A"},
    "protected not json": {"protected": b64("hello"), "payload": "", "signature": "AAAA"},
    "protected an array": {"protected": b64("[]"), "payload": "", "signature": "AAAA"},
    "general serialisation": {"payload": "", "signatures": [{"protected": "e30", "signature": "AAAA"}]},
    "unprotected header": {"protected": "e30", "payload": "", "signature": "AAAA", "header": {"alg": "ES256"}},
    "deep nesting": b'{"protected":' + b"[" * 20000 + b"]" * 20000 + b"}",
    "duplicate members": b'{"protected":"e30","protected":"e30","payload":"","signature":"AAAA"}',
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_a_body_that_is_no_jws(app, account, body):
    assert_problem(account.send(account.urls["newOrder"], body), 400, "malformed")


def test_an_oversized_body_is_413(app, account):
    reply = account.send(account.urls["newOrder"], b'{"protected":"' + b"A" * 270_000 + b'"}')
    assert reply.status_code == 413
    assert_sentence(reply.json()["detail"])


def test_a_flood_of_body_is_cut_off(app, account):
    try:
        assert account.send(account.urls["newOrder"], b"A" * 8_000_000).status_code == 413
    except requests.ConnectionError:
        pass  # closed while we were still sending: a fair answer to a body thirty times too large


def test_an_oversized_payload(app, account):
    reply = account.post(account.urls["newOrder"], {**order_payload(), "x": "y" * 300_000})
    assert reply.status_code in (400, 413)
    assert_sentence(reply.json()["detail"])


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "application/jose", ""])
def test_wrong_content_type_is_415(app, account, content_type):
    body = account.envelope(account.urls["newOrder"], order_payload())
    assert_problem(account.send(account.urls["newOrder"], body, content_type), 415, "malformed")


def test_truncated_body_never_answers_success(app, account):
    whole = json.dumps(account.envelope(account.urls["newOrder"], order_payload())).encode()
    for length in range(0, len(whole), 37):
        assert_problem(account.send(account.urls["newOrder"], whole[:length]), 400, "malformed")


@pytest.mark.parametrize("alg", ["none", "None", "HS256", "HS512", "PS256", "RS384", "ES256K", "", "es256"])
def test_an_algorithm_that_is_not_allowed(app, account, alg):
    problem = assert_problem(account.post(account.urls["newOrder"], order_payload(), alg=alg), 400, "badSignatureAlgorithm")
    assert set(problem["algorithms"]) >= {"ES256", "ES384", "ES512", "RS256", "EdDSA"}


def test_a_mac_with_the_public_key_is_no_signature(app, account):
    envelope = account.envelope(account.urls["newOrder"], order_payload(), alg="HS256")
    public = json.dumps(account.key.jwk()).encode()
    envelope["signature"] = b64(hmac.digest(public, f"{envelope['protected']}.{envelope['payload']}".encode(), "sha256"))
    assert_problem(account.send(account.urls["newOrder"], envelope), 400, "badSignatureAlgorithm")


@pytest.mark.parametrize("alg", ["ES384", "RS256", "EdDSA"])
def test_an_algorithm_that_is_not_the_keys(app, account, alg):
    assert_problem(account.post(account.urls["newOrder"], order_payload(), alg=alg), 400, "badSignatureAlgorithm")


@pytest.mark.parametrize("header", [{"crit": ["exp"]}, {"b64": False, "crit": ["b64"]}, {"url": None}, {"url": 5}, {"nonce": 5},
                                    {"alg": None}, {"alg": ["ES256"]}, {"kid": 5}, {"kid": ""}, {"kid": None}],
                         ids=lambda header: json.dumps(header))
def test_a_header_that_is_malformed(app, account, header):
    assert_problem(account.post(account.urls["newOrder"], order_payload(), **header), 400, "malformed")


def test_no_nonce_is_bad_nonce(app, account):
    envelope = account.envelope(account.urls["newOrder"], order_payload(), nonce=None)
    reply = account.send(account.urls["newOrder"], envelope)
    assert reply.status_code == 400 and reply.json()["type"] in (ERROR + "badNonce", ERROR + "malformed")
    assert_sentence(reply.json()["detail"])


@pytest.mark.parametrize("url", ["https://ca.svc.test/acme/elsewhere", "http://ca.svc.test/acme/new-order", "https://evil.test/acme/new-order",
                                 "", "/acme/new-order"])
def test_a_url_that_is_not_the_requests(app, account, url):
    reply = account.post(account.urls["newOrder"], order_payload(), url=url)
    assert reply.json()["type"] in (ERROR + "unauthorized", ERROR + "malformed") and reply.status_code in (400, 401, 403)
    assert_sentence(reply.json()["detail"])


def test_a_signature_that_is_wrong(app, account):
    envelope = account.envelope(account.urls["newOrder"], order_payload())
    for signature in (b"", b"\0" * 64, b"\xff" * 64, b"\1" * 63, b"\1" * 65, b"\1" * 4000):
        assert account.send(account.urls["newOrder"], {**envelope, "signature": b64(signature)}).status_code in (400, 403)


def test_a_payload_that_was_exchanged(app, account):
    envelope = account.envelope(account.urls["newOrder"], order_payload())
    envelope["payload"] = b64(json.dumps(order_payload("evil.svc.test")))
    reply = account.send(account.urls["newOrder"], envelope)
    assert reply.status_code in (400, 403)
    assert_sentence(reply.json()["detail"])


def test_jwk_and_kid_together(app, account):
    assert_problem(account.post(account.urls["newOrder"], order_payload(), jwk=account.key.jwk()), 400, "malformed")


def test_jwk_where_kid_is_needed(app, account):
    reply = account.post(account.urls["newOrder"], order_payload(), kid=None, jwk=account.key.jwk())
    assert_problem(reply, 400, "malformed")


def test_kid_where_jwk_is_needed(app, account):
    assert_problem(account.post(account.urls["newAccount"], {"termsOfServiceAgreed": True}), 400, "malformed")


@pytest.mark.parametrize("kid", ["https://ca.svc.test/acme/account/AAAAAAAAAAAAAAAAAAAAAA", "1", "https://evil.test/acme/account/1",
                                 "https://ca.svc.test/acme/new-order"])
def test_a_kid_that_is_nobody(app, account, kid):
    assert_problem(account.post(account.urls["newOrder"], order_payload(), kid=kid), 400, "accountDoesNotExist")


def test_a_kid_that_is_somebody_else(app, account):
    other = Acme(app).register()
    reply = account.post(account.urls["newOrder"], order_payload(), kid=other.kid)
    assert reply.status_code in (400, 403)
    assert_sentence(reply.json()["detail"])


BAD_JWKS = {
    "not on the curve": lambda jwk: {**jwk, "y": jwk["x"]},
    "coordinate too short": lambda jwk: {**jwk, "x": b64(b"\1" * 31)},
    "coordinate too long": lambda jwk: {**jwk, "x": b64(b"\1" * 33)},
    "all zero": lambda jwk: {**jwk, "x": b64(b"\0" * 32), "y": b64(b"\0" * 32)},
    "unknown curve": lambda jwk: {**jwk, "crv": "secp256k1"},
    "unknown type": lambda jwk: {**jwk, "kty": "oct", "k": b64(b"k" * 32)},
    "no coordinate": lambda jwk: {name: value for name, value in jwk.items() if name != "y"},
    "private member": lambda jwk: {**jwk, "d": b64(b"\1" * 32)},
    "number as coordinate": lambda jwk: {**jwk, "x": 1},
    "a string": lambda jwk: "key",
    "empty": lambda jwk: {},
}


@pytest.mark.parametrize("change", BAD_JWKS.values(), ids=BAD_JWKS.keys())
def test_a_jwk_that_is_no_key(app, change):
    stranger = Acme(app)
    reply = stranger.post(stranger.urls["newAccount"], {}, jwk=change(stranger.key.jwk()))
    assert reply.status_code == 400 and reply.json()["type"] in (ERROR + "badPublicKey", ERROR + "malformed"), reply.text
    assert_sentence(reply.json()["detail"])


@pytest.mark.parametrize("bits", [1024, 1536])
def test_a_weak_rsa_account_key(app, bits):
    stranger = Acme(app, key=Key("RS256", bits))
    problem = assert_problem(stranger.post(stranger.urls["newAccount"], {}), 400, "badPublicKey")
    assert "2048" in problem["detail"]


@pytest.mark.parametrize("alg", ["ES256", "ES384", "ES512", "RS256", "EdDSA"])
def test_every_allowed_account_key_works(app, alg):
    Acme(app, alg).register().issue(f"{alg.lower()}.svc.test")


def test_a_replayed_request_is_bad_nonce_with_a_fresh_nonce(app, account):
    envelope = account.envelope(account.urls["newOrder"], order_payload())
    assert account.send(account.urls["newOrder"], envelope).status_code == 201
    again = account.send(account.urls["newOrder"], envelope)
    assert_problem(again, 400, "badNonce")
    assert again.headers["Replay-Nonce"]
    assert account.post(account.urls["newOrder"], order_payload()).status_code == 201


@pytest.mark.parametrize("nonce", ["AAAAAAAAAAAAAAAAAAAAAA", "x", "A" * 43, "A" * 5000, "####", base64.b64encode(b"\xff" * 30).decode()])
def test_a_nonce_that_is_not_ours(app, account, nonce):
    reply = account.post(account.urls["newOrder"], order_payload(), nonce=nonce)
    assert reply.status_code == 400 and reply.json()["type"] in (ERROR + "badNonce", ERROR + "malformed"), reply.text
    assert reply.headers["Replay-Nonce"]


def test_a_nonce_from_before_a_restart_is_stale(make_appliance, app):
    """Its own listeners: the file's appliance keeps the usual ports."""
    config = {"https": ["127.0.0.1:8443"], "http": ["127.0.0.1:8080"], "dns": ["127.0.0.1:8053"]}
    second = make_appliance(listen=config, public_url="https://localhost:8443").start()
    account = Acme(second).register()
    old = account.fresh_nonce()
    second.restart()
    assert_problem(account.post(account.urls["newOrder"], order_payload(), nonce=old), 400, "badNonce")
    assert account.post(account.urls["newOrder"], order_payload()).status_code == 201


def test_a_nonce_burns_only_with_a_good_signature(app, account):
    nonce = account.fresh_nonce()
    envelope = account.envelope(account.urls["newOrder"], order_payload(), nonce=nonce)
    assert account.send(account.urls["newOrder"], {**envelope, "signature": b64(b"\1" * 64)}).status_code in (400, 403)
    assert account.send(account.urls["newOrder"], envelope).status_code == 201


@pytest.mark.parametrize("method", ["get", "put", "delete", "patch"])
def test_a_wrong_method_is_405_with_allow(app, account, method):
    reply = getattr(account.session, method)(account.urls["newOrder"], timeout=30)
    assert reply.status_code == 405 and "POST" in reply.headers["Allow"]


def test_paths_that_are_not_there_are_404(app, account):
    for path in ("/acme/", "/acme/nothing", "/acme/directory/x", "/nothing"):
        assert account.session.get(app.url + path, timeout=30).status_code == 404, path


def test_plain_http_serves_no_acme_and_no_doors(app, account):
    for path in ("/acme/directory", "/acme-dns/health", "/httpreq/present", "/acme-dns/storage", "/acme-dns/register"):
        for method in (account.session.get, account.session.post):
            assert method("http://ca.svc.test" + path, timeout=30).status_code == 404, path
