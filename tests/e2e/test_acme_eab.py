"""External account binding, what a client's names and networks mean for its accounts, preauthorization. RFC 8555 §7.3.4."""
import base64
import contextlib
import json
import sqlite3

import pytest

from appliance import OTHER_SECRET, SECRET, client, running
from jws_client import Acme, Key, assert_problem, assert_sentence, b64, external_account, httpreq, make_csr, names_of, split_chain, stranger_session
from namespace import INSIDE, OUTSIDE
from tools import txt_values

FLEET_SECRET = "e2eSecretOfTheFleetThatIsTrusted0123456789AB"
NARROW_SECRET = "e2eSecretOfTheNarrowClient0123456789abcdefgh"
CLIENTS = [client("lego", SECRET, "svc.test", "*.svc.test"), client("other", OTHER_SECRET, "other.svc.test"),
           client("fleet", FLEET_SECRET, "*.fleet.svc.test", "*.corp.test", preauthorized=True, networks=["10.8.10.0/24"]),
           client("narrow", NARROW_SECRET, "*.svc.test", networks=["10.8.10.0/24", "2001:db8::/32"])]


@pytest.fixture(scope="module")
def app(resolv_conf, tmp_path_factory):
    with running(tmp_path_factory.mktemp("appliance"), clients=CLIENTS, acme={"authorization_reuse": "1h", "external_account_required": True},
                 zones=[{"name": "svc.test"}, {"name": "corp.test", "serve": False}]) as one:
        yield one


def audit(app, event):
    with contextlib.closing(sqlite3.connect(f"file:{app.state}/bailiwick.db?mode=ro", uri=True)) as database:
        return [str(row) for row in database.execute("SELECT * FROM audit WHERE event = ?", (event,))]


# --- binding ----------------------------------------------------------------------------------------------------------------


def test_the_directory_says_that_it_is_required(app):
    acme = Acme(app)
    assert acme.session.get(app.directory_url, timeout=30).json()["meta"]["externalAccountRequired"] is True
    for payload in ({}, {"externalAccountBinding": None}):
        assert_problem(acme.post(acme.urls["newAccount"], payload), 403, "externalAccountRequired", "bailiwick client add")


@pytest.mark.parametrize("alg", ["HS256", "HS384", "HS512"])
def test_every_algorithm_binds(app, alg):
    acme = Acme(app).bind("lego", SECRET, alg=alg, contact=["mailto:eab@svc.test"])
    shown = acme.post(acme.kid).json()
    header = base64.urlsafe_b64decode(shown["externalAccountBinding"]["protected"] + "==")
    assert json.loads(header) == {"alg": alg, "kid": "lego", "url": acme.urls["newAccount"]}
    acme.issue(f"{alg.lower()}.svc.test", f"*.{alg.lower()}.svc.test")
    assert any(acme.kid.rpartition("/")[2] in row and "lego" in row for row in audit(app, "acme.account.bound"))


def test_the_stored_spelling_counts(app):
    """Client names differ in more than case."""
    acme = Acme(app).bind("LEGO", SECRET)
    acme.issue("spelling.svc.test")


BINDINGS = {
    "unknown client": (403, "unauthorized", lambda key, url: external_account("nobody", SECRET, key, url)),
    "wrong secret": (403, "unauthorized", lambda key, url: external_account("lego", OTHER_SECRET, key, url)),
    "empty kid": (None, None, lambda key, url: external_account("", SECRET, key, url)),
    "another url": (400, "malformed", lambda key, url: external_account("lego", SECRET, key, url + "x")),
    "no url": (400, "malformed", lambda key, url: external_account("lego", SECRET, key, url, url=None)),
    "a nonce": (400, "malformed", lambda key, url: external_account("lego", SECRET, key, url, nonce="AAAA")),
    "crit": (400, "malformed", lambda key, url: external_account("lego", SECRET, key, url, crit=["exp"], exp=1)),
    "a jwk": (400, "malformed", lambda key, url: external_account("lego", SECRET, key, url, jwk=key.jwk())),
    "no kid": (400, "malformed", lambda key, url: external_account("lego", SECRET, key, url, kid=None)),
    "kid a number": (400, "malformed", lambda key, url: external_account("lego", SECRET, key, url, kid=7)),
    "alg none": (400, "badSignatureAlgorithm", lambda key, url: external_account("lego", SECRET, key, url, alg="none")),
    "alg es256": (400, "badSignatureAlgorithm", lambda key, url: external_account("lego", SECRET, key, url, alg="ES256")),
    "alg hs1": (400, "badSignatureAlgorithm", lambda key, url: external_account("lego", SECRET, key, url, alg="HS1")),
    "another key": (400, "malformed", lambda key, url: external_account("lego", SECRET, Key(), url)),
    "payload no key": (400, None, lambda key, url: external_account("lego", SECRET, key, url, payload={"kty": "oct", "k": "AAAA"})),
    "payload empty": (400, None, lambda key, url: external_account("lego", SECRET, key, url, payload={})),
    "payload a thumbprint": (400, "malformed", lambda key, url: external_account("lego", SECRET, key, url, payload=key.thumbprint())),
    "no signature": (400, "malformed", lambda key, url: {**external_account("lego", SECRET, key, url), "signature": None}),
    "empty signature": (None, None, lambda key, url: {**external_account("lego", SECRET, key, url), "signature": ""}),
    "short signature": (403, "unauthorized", lambda key, url: {**external_account("lego", SECRET, key, url), "signature": b64(b"\0" * 16)}),
    "unprotected header": (400, "malformed", lambda key, url: {**external_account("lego", SECRET, key, url), "header": {}}),
    "unknown member": (400, "malformed", lambda key, url: {**external_account("lego", SECRET, key, url), "more": 1}),
    "a string": (400, "malformed", lambda key, url: "eyJ"),
    "a list": (400, "malformed", lambda key, url: []),
    "an empty object": (400, "malformed", lambda key, url: {}),
    "huge": (400, "malformed", lambda key, url: external_account("lego" * 5000, SECRET, key, url)),
}


@pytest.mark.parametrize("status, kind, make", BINDINGS.values(), ids=BINDINGS.keys())
def test_a_binding_that_is_wrong(app, status, kind, make):
    acme = Acme(app)
    acme.session = stranger_session(app.root_pem)  # wrong credentials are counted per address
    reply = acme.post(acme.urls["newAccount"], {"externalAccountBinding": make(acme.key, acme.urls["newAccount"])})
    assert reply.status_code in ((status,) if status else (400, 403)), reply.text
    problem = reply.json()
    assert_sentence(problem["detail"])
    if kind:
        assert_problem(reply, status, kind)
    if kind == "badSignatureAlgorithm":
        assert set(problem["algorithms"]) == {"HS256", "HS384", "HS512"}
    assert SECRET not in reply.text
    assert_problem(acme.post(acme.urls["newAccount"], {"onlyReturnExisting": True}), 400, "accountDoesNotExist")


def test_a_binding_is_for_one_account_key(app):
    """Replayed under another account key it is refused; sent again by its own it finds the account; a client binds many accounts."""
    first = Acme(app)
    binding = external_account("lego", SECRET, first.key, first.urls["newAccount"])
    first.register(externalAccountBinding=binding)
    thief = Acme(app)
    thief.session = stranger_session(app.root_pem)
    assert_problem(thief.post(thief.urls["newAccount"], {"externalAccountBinding": binding}), 400, "malformed", "another key")
    again = Acme(app, key=first.key)
    reply = again.post(again.urls["newAccount"], {"externalAccountBinding": binding})
    assert (reply.status_code, reply.headers["Location"]) == (200, first.kid)
    other = external_account("other", OTHER_SECRET, first.key, first.urls["newAccount"])
    reply = again.post(again.urls["newAccount"], {"externalAccountBinding": other})
    assert (reply.status_code, reply.headers["Location"]) == (200, first.kid)
    assert reply.json()["externalAccountBinding"] == binding, "an account stays with its client"
    assert Acme(app).bind("lego", SECRET).kid != first.kid


def test_wrong_secrets_are_throttled(app):
    acme = Acme(app)
    acme.session = stranger_session(app.root_pem)
    url = acme.urls["newAccount"]
    for _ in range(30):
        reply = acme.post(url, {"externalAccountBinding": external_account("lego", OTHER_SECRET, acme.key, url)})
        if reply.status_code != 403:
            break
    assert_problem(reply, 429, "rateLimited")
    assert int(reply.headers["Retry-After"]) >= 1
    reply = acme.post(url, {"externalAccountBinding": external_account("lego", SECRET, acme.key, url)})
    assert_problem(reply, 429, "rateLimited")


def test_a_key_change_keeps_the_binding(app):
    acme = Acme(app).bind("other", OTHER_SECRET)
    new_key = Key("EdDSA")
    assert acme.key_change(new_key).status_code == 200
    acme.key = new_key
    assert "externalAccountBinding" in acme.post(acme.kid).json()
    assert_problem(acme.new_order("not-its.svc.test"), 400, "rejectedIdentifier", "client")


# --- a client's names and networks ------------------------------------------------------------------------------------------


def test_a_clients_names_bound_everything_its_accounts_do(app):
    acme = Acme(app).bind("other", OTHER_SECRET)
    for name in ("svc.test", "www.svc.test", "*.other.svc.test", "x.other.svc.test"):
        assert_problem(acme.new_order(name), 400, "rejectedIdentifier", "client")
        if not name.startswith("*"):
            reply = acme.post(acme.urls["newAuthz"], {"identifier": {"type": "dns", "value": name}})
            assert_problem(reply, reply.status_code, "rejectedIdentifier")
    _, order = acme.order("other.svc.test")
    assert order["status"] == "pending", "bound is not preauthorized"
    acme.issue(order=order, user="other", secret=OTHER_SECRET)


def test_a_clients_networks_bound_everything_its_accounts_do(app):
    outside = Acme(app, source=OUTSIDE)
    reply = outside.post(outside.urls["newAccount"], {"externalAccountBinding": external_account("narrow", NARROW_SECRET, outside.key, outside.urls["newAccount"])})
    assert_problem(reply, 403, "unauthorized", OUTSIDE)
    inside = Acme(app, source=INSIDE).bind("narrow", NARROW_SECRET)
    url, order = inside.order("narrow.svc.test")
    moved = inside.again(source=OUTSIDE)
    for target, payload in ((url, None), (inside.kid, None), (order["finalize"], {"csr": b64(make_csr(["narrow.svc.test"]))}), (inside.urls["newOrder"], {}),
                            (order["authorizations"][0], None)):
        assert_problem(moved.post(target, payload), 403, "unauthorized", OUTSIDE)
    assert inside.post(url).json()["status"] == "pending"
    inside.issue(order=order)


def test_a_removed_clients_accounts_end_with_it(app):
    secret = app.cli("client", "add", "leaver", "--name", "*.leaver.svc.test", "--quiet").stdout.strip()
    acme = Acme(app).bind("leaver", secret)
    ready_url, ready = acme.order("ready.leaver.svc.test")
    acme.prove(ready, user="leaver", secret=secret)
    pending_url, _ = acme.order("pending.leaver.svc.test")
    app.cli("client", "remove", "leaver")
    for url in (ready_url, pending_url, acme.kid):
        assert_problem(acme.post(url), 401, "unauthorized")
    assert_problem(acme.finalize(ready), 401, "unauthorized")
    for url in (ready_url, pending_url):
        assert json.loads(app.cli("order", "show", url.rpartition("/")[2], "--json").stdout)["order"]["status"] == "invalid"


# --- preauthorization -------------------------------------------------------------------------------------------------------


def test_a_preauthorized_client_needs_no_challenge(app):
    acme = Acme(app, source=INSIDE).bind("fleet", FLEET_SECRET)
    names = ("*.fleet.svc.test", "www.fleet.svc.test", "www.corp.test")
    reply = acme.new_order(*names)
    assert reply.status_code == 201 and reply.json()["status"] == "ready", reply.text
    order = reply.json()
    for url in order["authorizations"]:
        authorization = acme.post(url).json()
        assert authorization["status"] == "valid"
        (challenge,) = authorization["challenges"]
        assert (challenge["type"], challenge["status"]) == ("dns-01", "valid") and challenge["validated"]
        assert acme.post(challenge["url"], {}).json() == challenge, "a client that answers it all the same is not hurt"
    done = acme.finalize(order).json()
    assert done["status"] == "valid"
    assert names_of(split_chain(acme.post(done["certificate"]).text)[0]) == sorted(names)
    rows = audit(app, "acme.authz.preauthorized")
    for name in names:
        assert any("fleet" in row and f"'{name}'" in row and "without a challenge" in row for row in rows), rows


def test_preauthorization_is_for_its_own_identifiers(app):
    acme = Acme(app, source=INSIDE).bind("fleet", FLEET_SECRET)
    for name in ("fleet.svc.test", "www.svc.test", "*.svc.test", "corp.test"):
        assert_problem(acme.new_order(name), 400, "rejectedIdentifier")


def test_preauthorization_is_for_bound_accounts_only(app):
    for user, secret in (("lego", SECRET), ("narrow", NARROW_SECRET)):
        acme = Acme(app, source=INSIDE).bind(user, secret)
        assert acme.order("www.fleet.svc.test")[1]["status"] == "pending"


def test_preauthorization_is_asked_for_again_at_finalize(app):
    """From its networks at newOrder and at finalize; a reused authorization is none that was proved."""
    acme = Acme(app, source=INSIDE).bind("fleet", FLEET_SECRET)
    url, order = acme.order("late.fleet.svc.test")
    moved = acme.again(source=OUTSIDE)
    assert_problem(moved.finalize(order), 403, "unauthorized")
    assert acme.post(url).json()["status"] == "ready", "it is refused, not ended, for a peer that may not speak for the account"
    assert acme.finalize(order).json()["status"] == "valid"


def test_pre_authorization_of_a_preauthorized_client(app):
    acme = Acme(app, source=INSIDE).bind("fleet", FLEET_SECRET)
    reply = acme.post(acme.urls["newAuthz"], {"identifier": {"type": "dns", "value": "ahead.fleet.svc.test"}})
    assert reply.status_code == 201 and reply.json()["status"] == "valid"
    _, order = acme.order("ahead.fleet.svc.test")
    assert order["status"] == "ready"


def test_records_of_preauthorized_names_are_in_our_dns(app):
    """dns-persist-01 at its own label; dns-account-01 below the account's; for no other client."""
    acme = Acme(app, source=INSIDE).bind("fleet", FLEET_SECRET)
    acme.order("records.fleet.svc.test", "*.records.fleet.svc.test")
    (text,) = txt_values("_validation-persist.records.fleet.svc.test")
    assert text.startswith("ca.svc.test;") and f"accounturi={acme.kid}" in text and "policy=wildcard" in text and "persistUntil=" in text
    other = Acme(app).bind("lego", SECRET)
    other.order("norecords.svc.test")
    assert txt_values("_validation-persist.norecords.svc.test") == []


def test_a_preauthorized_client_that_was_narrowed_at_the_next_start(app):
    acme = Acme(app, source=INSIDE).bind("fleet", FLEET_SECRET)
    ready = acme.order("narrowed.fleet.svc.test")[1]
    kept = dict(app.config["clients"][2])
    try:
        app.config["clients"][2]["preauthorized"] = False
        app.restart()
        acme.nonce = None
        assert_problem(acme.finalize(ready), 403, "unauthorized")
        assert acme.order("narrowed.fleet.svc.test")[1]["status"] == "pending", "what was valid without proof is not reused"
    finally:
        app.config["clients"][2] = kept
        app.restart()


def test_publishing_with_the_same_secret(app):
    """A client is one party: API user and EAB key."""
    assert httpreq(app, "present", "_acme-challenge.same.svc.test.", "s" * 43, session=Acme(app, source=INSIDE).session).status_code == 200
