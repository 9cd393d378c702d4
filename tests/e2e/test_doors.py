"""The doors one by one: credentials, networks, names, values, and the words of refusal (row 12)."""
import json
import re

import pytest
import requests

from appliance import OTHER_SECRET, SECRET
from jws_client import Acme, assert_sentence, http_session, httpreq, stranger_session
from namespace import CA_ADDRESS, INSIDE, OUTSIDE
from tools import run, txt_values

VALUE = "door" + "v" * 39
NAME = "_acme-challenge.door.svc.test."


@pytest.fixture
def session(app):
    return http_session(app.root_pem)


@pytest.fixture
def stranger(app):
    """For wrong credentials: an address of its own, whose failures throttle nobody else."""
    return stranger_session(app.root_pem)


def text_of(reply):
    """The sentence of a refusal, whatever the door's own shape."""
    body = reply.json()
    return body.get("detail") or body.get("message") or body["error"]


def acmedns(app, session, path, body=None, **more):
    data = body if isinstance(body, (bytes, str, type(None))) else json.dumps(body)
    return session.post(f"{app.url}/acme-dns/{path}", data=data, timeout=60, **more)


def register(app, session, user="lego", secret=SECRET, body=b""):
    reply = acmedns(app, session, "register", body, auth=(user, secret))
    assert reply.status_code == 201, reply.text
    return reply.json()


def update(app, session, account, txt, **changes):
    headers = {"X-Api-User": changes.pop("user", account["username"]), "X-Api-Key": changes.pop("key", account["password"])}
    return acmedns(app, session, "update", {"subdomain": account["subdomain"], "txt": txt, **changes}, headers=headers)


# --- httpreq ---------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("user,secret", [(None, None), ("lego", "w" * 44), ("nobody", SECRET), ("", ""), ("lego", ""), ("other", SECRET)])
def test_httpreq_wrong_credentials_are_401(app, stranger, user, secret):
    auth = None if user is None else (user, secret)
    for action in ("present", "cleanup"):
        reply = stranger.post(f"{app.url}/httpreq/{action}", json={"fqdn": NAME, "value": VALUE}, auth=auth, timeout=60)
        assert reply.status_code == 401, reply.text
        assert_sentence(text_of(reply))
    assert txt_values(NAME) == []


@pytest.mark.parametrize("header", ["Basic", "Basic !!!", "Basic " + "A" * 5000, "Bearer " + SECRET, "Basic bGVnbw=="])
def test_httpreq_a_header_that_is_none(app, stranger, header):
    reply = stranger.post(f"{app.url}/httpreq/present", json={"fqdn": NAME, "value": VALUE}, headers={"Authorization": header}, timeout=60)
    assert reply.status_code in (400, 401, 431), reply.text


def test_the_secret_never_stands_in_the_log(app):
    app.assert_clean_log()


@pytest.mark.parametrize("name", ["_acme-challenge.svc.test.", "_acme-challenge.lego.svc.test.", "_acme-challenge.x.other.svc.test"])
def test_httpreq_a_name_that_is_not_the_clients_is_403(app, name):
    reply = httpreq(app, "present", name, VALUE, "other", OTHER_SECRET)
    assert reply.status_code == 403, reply.text
    assert_sentence(text_of(reply))
    assert txt_values(name) == []


def test_httpreq_all_spellings_of_a_name_are_one(app):
    spellings = ("_acme-challenge.spell.svc.test.", "_acme-challenge.spell.svc.test", "_ACME-Challenge.SPELL.svc.TEST.",
                 "spell.svc.test.acme.svc.test.", "Spell.svc.test.ACME.svc.test")
    for spelling in spellings:
        assert httpreq(app, "present", spelling, VALUE).status_code == 200, spelling
        assert txt_values("_acme-challenge.spell.svc.test") == [VALUE]
        assert httpreq(app, "cleanup", spelling, VALUE).status_code == 200
        assert txt_values("_acme-challenge.spell.svc.test") == []


def test_httpreq_cleanup_takes_only_its_value(app):
    other = "keep" + "k" * 39
    for value in (VALUE, other):
        assert httpreq(app, "present", NAME, value).status_code == 200
    assert txt_values(NAME) == sorted([VALUE, other])
    assert httpreq(app, "cleanup", NAME, VALUE).status_code == 200
    assert txt_values(NAME) == [other]
    assert httpreq(app, "cleanup", NAME, VALUE).status_code == 200, "cleaning up twice is fine"
    assert httpreq(app, "cleanup", NAME, other).status_code == 200


@pytest.mark.parametrize("value", ["", "short", "v" * 42, "v" * 44, "v" * 42 + "+", "v" * 42 + "=", "v" * 42 + "\n", "v" * 42 + "é", 5, None, ["v" * 43]],
                         ids=ascii)
def test_httpreq_a_value_that_is_no_digest_is_400(app, session, value):
    reply = session.post(f"{app.url}/httpreq/present", json={"fqdn": NAME, "value": value}, auth=("lego", SECRET), timeout=60)
    assert reply.status_code == 400, reply.text
    assert_sentence(text_of(reply))
    assert txt_values(NAME) == []


@pytest.mark.parametrize("fqdn", ["", ".", "svc.test.", "door.svc.test.", "_acme-challenge.example.org.", "_acme-challenge.", "_acme-challenge.-x.svc.test.",
                                  "_acme-challenge..svc.test.", "_acme-challenge.*.svc.test.", "acme.svc.test.", "x" * 300, 5, None], ids=lambda name: str(name)[:40])
def test_httpreq_a_name_that_is_none(app, session, fqdn):
    reply = session.post(f"{app.url}/httpreq/present", json={"fqdn": fqdn, "value": VALUE}, auth=("lego", SECRET), timeout=60)
    assert reply.status_code in (400, 403), reply.text
    assert_sentence(text_of(reply))


BODIES = [b"", b"{", b"[]", b"null", b'"x"', b"{}", b"\xff\xfe", b"[" * 50_000, b'{"fqdn":"_acme-challenge.door.svc.test."}',
          b'{"value":"' + b"v" * 43 + b'"}', b'{"domain":"door.svc.test","token":1,"keyAuth":2}', b'{"domain":"door.svc.test"}', b'{"a":' * 10_000]


@pytest.mark.parametrize("body", BODIES, ids=lambda body: str(body[:30]))
def test_httpreq_a_body_that_is_malformed(app, session, body):
    reply = session.post(f"{app.url}/httpreq/present", data=body, auth=("lego", SECRET), timeout=60, headers={"Content-Type": "application/json"})
    assert reply.status_code in (400, 413), reply.text
    assert_sentence(text_of(reply))


def test_httpreq_raw_body(app, session):
    acme = Acme(app).register()
    _, order = acme.order("raw.svc.test")
    _, challenge = acme.challenge_of(order["authorizations"][0])
    body = {"domain": "raw.svc.test", "token": challenge["token"], "keyAuth": f"{challenge['token']}.{acme.key.thumbprint()}"}
    reply = session.post(f"{app.url}/httpreq/present", json=body, auth=("lego", SECRET), timeout=60)
    assert reply.status_code == 200, reply.text
    assert txt_values("_acme-challenge.raw.svc.test") == [acme.digest(challenge)]
    assert acme.post(challenge["url"], {}).json()["status"] == "valid"
    assert session.post(f"{app.url}/httpreq/cleanup", json=body, auth=("lego", SECRET), timeout=60).status_code == 200
    assert txt_values("_acme-challenge.raw.svc.test") == []


def test_ten_failures_a_minute_then_429(app):
    """From an address of its own, so that the file's other tests keep theirs."""
    def attempt():
        return run("curl", "-s", "--interface", INSIDE, "--resolve", f"ca.svc.test:443:{CA_ADDRESS}", "--cacert", app.root_pem, "-o", "/dev/null",
                   "-w", "%{http_code}", "-u", f"lego:{'w' * 44}", "--data", "{}", f"{app.url}/httpreq/present").text
    codes = [attempt() for _ in range(14)]
    assert codes[:9] == ["401"] * 9 and codes[-1] == "429", codes


# --- acme-dns --------------------------------------------------------------------------------------------------------

def test_acmedns_health(app, session):
    assert session.get(f"{app.url}/acme-dns/health", timeout=60).status_code == 200


@pytest.mark.parametrize("body", [b"", b"null", b"null\n", b"{}", b'{"allowfrom":[]}', b'{"allowfrom":null}', b'{"extra":1}'], ids=str)
def test_acmedns_register(app, session, body):
    account = register(app, session, body=body)
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", account["username"])
    assert re.fullmatch(r"[A-Za-z0-9_-]{40}", account["password"])
    assert account["fulldomain"] == account["subdomain"] + ".acme.svc.test"
    assert update(app, session, account, VALUE).json() == {"txt": VALUE}
    assert txt_values(account["fulldomain"]) == [VALUE]


def test_acmedns_register_keeps_to_one_line_without_escapes(app, session):
    text = acmedns(app, session, "register", auth=("lego", SECRET)).text
    assert text.startswith("{") and "\n" not in text.rstrip("\n") and "\\" not in text


@pytest.mark.parametrize("body", [b"{", b"[]", b"5", b'{"allowfrom":"10.0.0.0/8"}', b"\xff"], ids=str)
def test_acmedns_register_malformed(app, session, body):
    reply = acmedns(app, session, "register", body, auth=("lego", SECRET))
    assert reply.status_code == 400 and reply.json()["error"] == "malformed_json_payload", reply.text


@pytest.mark.parametrize("network", ["10.0.0.0/33", "x", "", "10.0.0/8", "fd00::/129", 5, None])
def test_acmedns_register_bad_network(app, session, network):
    reply = acmedns(app, session, "register", {"allowfrom": [network]}, auth=("lego", SECRET))
    assert reply.status_code == 400 and reply.json()["error"] == "invalid_allowfrom_cidr", reply.text


@pytest.mark.parametrize("auth", [None, ("lego", "w" * 44), ("nobody", SECRET)], ids=str)
def test_acmedns_register_wants_the_credential(app, stranger, auth):
    assert acmedns(app, stranger, "register", auth=auth).status_code == 401


def test_acmedns_register_from_outside_without_credential_is_401(app):
    code = run("curl", "-s", "--interface", OUTSIDE, "--resolve", f"ca.svc.test:443:{CA_ADDRESS}", "--cacert", app.root_pem, "-o", "/dev/null",
               "-w", "%{http_code}", "-X", "POST", f"{app.url}/acme-dns/register").text
    assert code == "401"


def test_acmedns_update_vocabulary(app, stranger):
    account = register(app, stranger)
    other = register(app, stranger)
    assert update(app, stranger, account, "short").json()["error"] == "bad_txt"
    assert update(app, stranger, account, "short").status_code == 400
    assert update(app, stranger, account, VALUE, key="x" * 40).status_code == 401
    assert update(app, stranger, account, VALUE, key="x" * 40).json()["error"] == "forbidden"
    assert update(app, stranger, account, VALUE, user="not-a-uuid").status_code == 401
    assert update(app, stranger, account, VALUE, subdomain=other["subdomain"]).status_code == 401
    assert update(app, stranger, account, VALUE, subdomain="").status_code in (400, 401)
    reply = acmedns(app, stranger, "update", b"{", headers={"X-Api-User": account["username"], "X-Api-Key": account["password"]})
    assert reply.status_code == 400 and reply.json()["error"] == "malformed_json_payload"
    assert acmedns(app, stranger, "update", {"subdomain": account["subdomain"], "txt": VALUE}).status_code == 401
    assert txt_values(account["fulldomain"]) == txt_values(other["fulldomain"]) == []


def test_acmedns_allowfrom_is_kept(app, session):
    account = register(app, session, body=json.dumps({"allowfrom": ["192.0.2.0/24"]}))
    assert update(app, session, account, VALUE).status_code in (401, 403)
    assert txt_values(account["fulldomain"]) == []


def test_acmedns_more_than_two_values_live(app, session):
    account = register(app, session)
    values = sorted(f"{number:043d}" for number in range(7))
    for value in values:
        assert update(app, session, account, value).status_code == 200
    assert txt_values(account["fulldomain"]) == values


def test_acmedns_the_clients_own_name_and_secret_publish_by_digest(app, session):
    acme = Acme(app).register()
    _, order = acme.order("own.svc.test", "*.own.svc.test")
    for url in order["authorizations"]:
        _, challenge = acme.challenge_of(url)
        reply = update(app, session, {"username": "lego", "password": SECRET, "subdomain": "own"}, acme.digest(challenge))
        assert reply.status_code == 200, reply.text
        assert acme.post(challenge["url"], {}).json()["status"] == "valid"
    assert acme.finalize(order).json()["status"] == "valid"


# --- late binding ----------------------------------------------------------------------------------------------------

def test_late_binding_takes_the_name_from_the_digest(app, session):
    account = register(app, session)
    acme = Acme(app).register()
    _, order = acme.order("late.svc.test", "*.late.svc.test")
    for url in order["authorizations"]:
        _, challenge = acme.challenge_of(url)
        digest = acme.digest(challenge)
        assert update(app, session, account, digest).json() == {"txt": digest}
        assert digest in txt_values("_acme-challenge.late.svc.test")
        assert digest in txt_values(account["fulldomain"])
        assert acme.post(challenge["url"], {}).json()["status"] == "valid"
    assert acme.finalize(order).json()["status"] == "valid"


def test_late_binding_gives_nobody_a_name_that_is_not_the_clients(app, session):
    account = register(app, session, "other", OTHER_SECRET)
    acme = Acme(app).register()
    _, order = acme.order("victim.svc.test")
    _, challenge = acme.challenge_of(order["authorizations"][0])
    update(app, session, account, acme.digest(challenge))
    assert acme.post(challenge["url"], {}).json()["status"] != "valid"


# --- HTTP storage ----------------------------------------------------------------------------------------------------

def storage(app, session, method, name="", auth=("lego", SECRET), **more):
    return session.request(method, f"{app.url}/acme-dns/storage{name}", auth=auth, timeout=60, **more)


def test_storage_answers_the_same_account_every_time(app, session):
    first, second = (storage(app, session, "GET", "/store.svc.test") for _ in range(2))
    assert first.status_code == 200 and first.json() == second.json()
    account = first.json()
    assert {"fulldomain", "subdomain", "username", "password"} <= set(account)
    assert update(app, session, account, VALUE).status_code == 200
    assert txt_values("_acme-challenge.store.svc.test") == [VALUE]
    app.restart()
    assert storage(app, session, "GET", "/store.svc.test").json() == account


def test_storage_refusals(app, stranger):
    assert storage(app, stranger, "GET", "/store.svc.test", None).status_code == 401
    assert storage(app, stranger, "GET", "/store.svc.test", ("lego", "w" * 44)).status_code == 401
    assert storage(app, stranger, "GET", "/svc.test", ("other", OTHER_SECRET)).status_code == 403
    assert storage(app, stranger, "GET", "/example.org").status_code == 403
    for name in ("/-x.svc.test", "/a..svc.test", "/" + "x" * 300, "/%2e%2e"):
        assert storage(app, stranger, "GET", name).status_code in (400, 403, 404), name


def test_storage_post_is_201(app, session):
    account = storage(app, session, "GET", "/post.svc.test").json()
    assert storage(app, session, "POST", "/post.svc.test", json=account).status_code == 201
    assert storage(app, session, "POST", "/svc.test", ("other", OTHER_SECRET), json=account).status_code == 403


def test_storage_list_holds_only_this_clients(app, session):
    for name, auth in (("other.svc.test", ("other", OTHER_SECRET)), ("svc.test", ("lego", SECRET))):
        account = storage(app, session, "GET", f"/{name}", auth).json()
        assert update(app, session, account, VALUE).status_code == 200
        listed = storage(app, session, "GET", auth=auth).json()
        assert listed[name]["subdomain"] == account["subdomain"] and listed[name]["password"] == account["password"]
        assert len(listed) == 1


def test_a_dead_peer_in_mid_request_harms_nobody(app, session):
    """A body shorter than announced, then gone."""
    request = requests.Request("POST", f"{app.url}/httpreq/present", data=b"{}", headers={"Content-Length": "500"}).prepare()
    request.headers["Content-Length"] = "500"
    with pytest.raises(requests.RequestException):
        session.send(request, timeout=2)
    assert storage(app, session, "GET", "/alive.svc.test").status_code == 200
