"""Accounts: the object, updates, deactivation, key rollover, the list of orders. RFC 8555 §7.1.2, §7.3."""
import json
import re

import pytest

from appliance import running
from jws_client import ERROR, Acme, Key, assert_problem, b64, make_csr, split_chain

PER_PAGE = 3


@pytest.fixture(scope="module")
def app(resolv_conf, tmp_path_factory):
    with running(tmp_path_factory.mktemp("appliance"), acme={"authorization_reuse": 0, "orders_per_page": PER_PAGE}) as one:
        yield one


@pytest.fixture
def account(app):
    return Acme(app).register()


def listed_orders(account):
    """Every page's orders, by following rel="next"."""
    pages, url = [], account.post(account.kid).json()["orders"]
    while url:
        reply = account.post(url)
        assert reply.status_code == 200, reply.text
        pages.append(reply.json()["orders"])
        found = re.search(r'<([^>]*)>;rel="next"', reply.headers["Link"])
        url = found.group(1) if found else None
    return pages


# --- the object -------------------------------------------------------------------------------------------------------------


def test_the_account_object(app):
    acme = Acme(app)
    reply = acme.post(acme.urls["newAccount"], {"termsOfServiceAgreed": True, "contact": ["mailto:admin@svc.test"], "unknown": {"a": [1]}})
    assert reply.status_code == 201
    acme.kid = reply.headers["Location"]
    made = reply.json()
    assert made == {"status": "valid", "contact": ["mailto:admin@svc.test"], "termsOfServiceAgreed": True, "orders": acme.kid + "/orders"}
    assert acme.post(acme.kid).json() == made
    assert acme.post(acme.kid, {}).json() == made
    assert f'<{app.url}/acme/directory>;rel="index"' in reply.headers["Link"]


def test_absent_and_empty_members_are_the_same(app):
    for payload in ({}, {"contact": []}, {"contact": None, "externalAccountBinding": None, "onlyReturnExisting": None, "termsOfServiceAgreed": None}):
        acme = Acme(app)
        reply = acme.post(acme.urls["newAccount"], payload)
        assert reply.status_code == 201 and reply.json()["contact"] == [], reply.text


def test_contacts_are_replaced_as_a_whole(account):
    assert account.post(account.kid, {"contact": ["mailto:a@svc.test", "mailto:b@svc.test"]}).json()["contact"] == ["mailto:a@svc.test", "mailto:b@svc.test"]
    assert account.post(account.kid, {"contact": ["mailto:c@svc.test"]}).json()["contact"] == ["mailto:c@svc.test"]
    assert account.post(account.kid, {"contact": []}).json()["contact"] == []


def test_what_a_client_may_not_set_stays(account):
    before = account.post(account.kid).json()
    for status in ("valid", "revoked", "pending"):
        reply = account.post(account.kid, {"orders": "https://evil.test/", "termsOfServiceAgreed": False, "status": status, "createdAt": "now"})
        assert reply.status_code == 200 and reply.json() == before


@pytest.mark.parametrize("payload", [{"status": 1}, {"status": []}, {"contact": "mailto:a@svc.test"}, {"contact": {}}, [], 7, "x"], ids=json.dumps)
def test_an_update_that_is_malformed(account, payload):
    before = account.post(account.kid).json()
    assert_problem(account.post(account.kid, payload), 400, "malformed")
    assert account.post(account.kid).json() == before


def test_the_same_key_is_the_same_account(app, account):
    again = Acme(app, key=account.key)
    reply = again.post(again.urls["newAccount"], {"contact": ["mailto:other@svc.test"]})
    assert (reply.status_code, reply.headers["Location"]) == (200, account.kid)
    assert reply.json()["contact"] == [], "a repeated newAccount changes nothing"
    found = again.post(again.urls["newAccount"], {"onlyReturnExisting": True})
    assert (found.status_code, found.headers["Location"]) == (200, account.kid)


def test_only_return_existing_tells_strangers_nothing(app, account):
    """The answer depends on the key that signs and on nothing else; no account comes to be."""
    stranger = Acme(app)
    for payload in ({"onlyReturnExisting": True}, {"onlyReturnExisting": True, "contact": ["mailto:admin@svc.test"]}):
        assert_problem(stranger.post(stranger.urls["newAccount"], payload), 400, "accountDoesNotExist")
    # Somebody else's public key with a signature of one's own is no proof.
    reply = stranger.post(stranger.urls["newAccount"], {"onlyReturnExisting": True}, jwk=account.key.jwk())
    assert reply.status_code in (400, 403) and "Location" not in reply.headers
    assert_problem(stranger.post(stranger.urls["newAccount"], {"onlyReturnExisting": "yes"}), 400, "malformed")


# --- the list of orders -----------------------------------------------------------------------------------------------------


def test_the_list_of_orders_has_pages(account):
    assert listed_orders(account) == [[]]
    made = {account.order(f"list{number}.svc.test")[0] for number in range(2 * PER_PAGE + 1)}
    pages = listed_orders(account)
    assert [len(page) for page in pages] == [PER_PAGE, PER_PAGE, 1]
    assert {url for page in pages for url in page} == made
    one = pages[0][0]
    account.post(account.post(one).json()["authorizations"][0], {"status": "deactivated"})
    assert made - {url for page in listed_orders(account) for url in page} == {one}, "invalid orders are left out"


def test_a_list_of_orders_is_its_accounts(app, account):
    other = Acme(app).register()
    account.order("mine.svc.test")
    url = account.kid + "/orders"
    assert_problem(other.post(url), 403, "unauthorized")
    assert_problem(account.post(url, {}), 400, "malformed")
    assert account.session.get(url, timeout=30).status_code == 405
    for query in ("?cursor=x", "?cursor=" + "A" * 5000, "?page=2", "?", "?cursor=../../x"):
        reply = account.post(url + query)
        assert reply.status_code in (200, 400, 403, 414), reply.text
        assert reply.status_code != 200 or query == "?"


# --- deactivation -----------------------------------------------------------------------------------------------------------


def test_a_deactivated_account_ends_what_is_pending(app, account):
    names = ("ready", "pending", "processing")
    orders = {name: account.order(f"{name}-gone.svc.test") for name in names}
    account.prove(orders["ready"][1])
    _, waiting = account.challenge_of(orders["processing"][1]["authorizations"][0])
    authorization, challenge = account.challenge_of(orders["pending"][1]["authorizations"][0])
    assert account.post(waiting["url"], {}).json()["status"] == "processing"
    ended = account.post(account.kid, {"status": "deactivated", "contact": ["mailto:last@svc.test"]})
    assert (ended.status_code, ended.json()["status"]) == (200, "deactivated")
    for name in names:
        shown = json.loads(app.cli("order", "show", orders[name][0].rpartition("/")[2], "--json").stdout)
        assert shown["order"]["status"] == "invalid", shown
    # A value that comes now proves nothing, and the account hears nothing.
    account.publish(authorization, challenge)
    requests = {account.kid: None, account.kid + "/orders": None, orders["ready"][0]: None, challenge["url"]: {},
                orders["pending"][1]["authorizations"][0]: None,
                orders["ready"][1]["finalize"]: {"csr": b64(make_csr(["ready-gone.svc.test"]))}, account.urls["newOrder"]: {"identifiers": []},
                account.urls["newAuthz"]: {"identifier": {}}, account.urls["revokeCert"]: {"certificate": "AAAA"}, account.urls["keyChange"]: {}}
    for url, payload in requests.items():
        assert_problem(account.post(url, payload), 401, "unauthorized")
    again = Acme(app, key=account.key)
    assert_problem(again.post(again.urls["newAccount"], {"onlyReturnExisting": True}), 401, "unauthorized")
    assert_problem(again.post(again.urls["newAccount"], {}), 401, "unauthorized")


def test_certificates_outlive_their_account(app, account):
    """The key that was certified still revokes."""
    key = Key()
    _, order = account.order("outlives.svc.test")
    account.prove(order)
    done = account.finalize(order, csr=make_csr(["outlives.svc.test"], key.private)).json()
    leaf = split_chain(account.post(done["certificate"]).text)[0]
    account.post(account.kid, {"status": "deactivated"})
    assert_problem(account.post(done["certificate"]), 401, "unauthorized")
    assert Acme(app, key=key).revoke(leaf).status_code == 200


# --- keyChange --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("old, new", [("ES256", "RS256"), ("RS256", "EdDSA"), ("EdDSA", "ES384"), ("ES512", "ES256")])
def test_key_change(app, old, new):
    acme = Acme(app, old).register(contact=["mailto:k@svc.test"])
    order_url, order = acme.order("rollover.svc.test")
    old_key, new_key = acme.key, Key(new)
    reply = acme.key_change(new_key)
    assert reply.status_code == 200, reply.text
    assert reply.json()["contact"] == ["mailto:k@svc.test"]
    # The old key neither signs for the account nor finds it.
    assert acme.post(acme.kid).status_code in (400, 403)
    stranger = Acme(app, key=old_key)
    assert_problem(stranger.post(stranger.urls["newAccount"], {"onlyReturnExisting": True}), 400, "accountDoesNotExist")
    acme.key = new_key
    found = Acme(app, key=new_key)
    assert found.post(found.urls["newAccount"], {"onlyReturnExisting": True}).headers["Location"] == acme.kid
    # What was pending is proved with the new key's thumbprint.
    assert acme.post(order_url).json()["status"] == "pending"
    acme.issue(order=order)
    # The old key may begin anew.
    assert stranger.register().kid != acme.kid


def test_the_old_keys_value_proves_nothing_after_a_key_change(app, account):
    _, order = account.order("old-thumb.svc.test")
    authorization, challenge = account.challenge_of(order["authorizations"][0])
    assert account.publish(authorization, challenge).status_code == 200
    new_key = Key()
    assert account.key_change(new_key).status_code == 200
    account.key = new_key
    assert account.post(challenge["url"], {}).json()["status"] == "processing"
    assert account.publish(authorization, challenge).status_code == 200
    assert account.wait(challenge["url"], ("valid", "invalid"))["status"] == "valid"


KEY_CHANGES = {
    "signed by the old key": (400, "malformed", lambda a, new: {"signer": a.key}),
    "another account": (400, "malformed", lambda a, new: {"account": a.kid[:-4] + "AAAA"}),
    "no account": (400, "malformed", lambda a, new: {"account": None}),
    "a list as account": (400, "malformed", lambda a, new: {"account": [a.kid]}),
    "another old key": (400, "malformed", lambda a, new: {"old_key": Key().jwk()}),
    "the new key as old key": (400, "malformed", lambda a, new: {"old_key": new.jwk()}),
    "no old key": (400, "malformed", lambda a, new: {"old_key": None}),
    "thumbprint as old key": (400, "malformed", lambda a, new: {"old_key": a.key.thumbprint()}),
    "another url": (400, "malformed", lambda a, new: {"inner": {"url": a.urls["newOrder"]}}),
    "no url": (400, "malformed", lambda a, new: {"inner": {"url": None}}),
    "a nonce": (400, "malformed", lambda a, new: {"inner": {"nonce": a.fresh_nonce()}}),
    "a kid": (400, "malformed", lambda a, new: {"inner": {"jwk": None, "kid": a.kid}}),
    "jwk and kid": (400, "malformed", lambda a, new: {"inner": {"kid": a.kid}}),
    "no jwk": (400, "malformed", lambda a, new: {"inner": {"jwk": None}}),
    "another jwk": (400, "malformed", lambda a, new: {"inner": {"jwk": Key().jwk()}}),
    "crit": (400, "malformed", lambda a, new: {"inner": {"crit": ["exp"], "exp": 1}}),
    "alg none": (400, "badSignatureAlgorithm", lambda a, new: {"inner": {"alg": "none"}}),
    "alg hmac": (400, "badSignatureAlgorithm", lambda a, new: {"inner": {"alg": "HS256"}}),
    "another alg": (400, "badSignatureAlgorithm", lambda a, new: {"inner": {"alg": "ES384"}}),
    "unprotected header": (400, "malformed", lambda a, new: {"outer": {"header": {"alg": "ES256"}}}),
    "no signature": (400, "malformed", lambda a, new: {"outer": {"signature": ""}}),
}


@pytest.mark.parametrize("status, kind, wrong", KEY_CHANGES.values(), ids=KEY_CHANGES.keys())
def test_a_key_change_that_is_wrong(account, status, kind, wrong):
    new_key = Key()
    assert_problem(account.key_change(new_key, **wrong(account, new_key)), status, kind)
    assert account.post(account.kid).json()["status"] == "valid", "the old key is in force"


@pytest.mark.parametrize("payload", [b"", b"{}", b"[]", b"7", b'{"protected":"e30","protected":"e30","payload":"","signature":"AA"}', b"\xff"],
                         ids=lambda payload: ascii(payload)[:30])
def test_a_key_change_without_an_inner_jws(account, payload):
    assert_problem(account.post(account.urls["keyChange"], payload), 400, "malformed")


def test_a_key_change_to_a_weak_key(account):
    assert_problem(account.key_change(Key("RS256", 1024)), 400, "badPublicKey")


def test_a_key_change_is_signed_outside_by_the_account(app, account):
    """With jwk instead of kid, and by somebody else."""
    new_key = Key()
    assert_problem(account.post(account.urls["keyChange"], {}, kid=None, jwk=account.key.jwk()), 400, "malformed")
    other = Acme(app).register()
    assert_problem(other.key_change(new_key, account=account.kid, old_key=account.key.jwk()), 400, "malformed")
    assert account.post(account.kid).status_code == 200


def test_a_key_change_to_a_key_in_use_is_409_with_its_account(app, account):
    other = Acme(app).register()
    reply = account.key_change(other.key)
    assert_problem(reply, 409, "malformed")
    assert reply.headers["Location"] == other.kid
    same = account.key_change(account.key)
    assert_problem(same, 409, "malformed")
    assert same.headers["Location"] == account.kid


def test_a_key_change_replayed_is_refused(account):
    """The same inner JWS in a new outer one: its old key is not the account's any more."""
    first, second = Key(), Key()
    assert account.key_change(first).status_code == 200
    old, account.key = account.key, first
    assert_problem(account.key_change(second, old_key=old.jwk()), 400, "malformed")
    assert account.post(account.kid).json()["status"] == "valid"


def test_problem_types_are_the_registered_ones(app, account):
    known = set("accountDoesNotExist alreadyRevoked badCSR badNonce badPublicKey badRevocationReason badSignatureAlgorithm caa compound connection dns "
                "externalAccountRequired incorrectResponse invalidContact malformed orderNotReady rateLimited rejectedIdentifier serverInternal tls "
                "unauthorized unsupportedContact unsupportedIdentifier userActionRequired invalidProfile alreadyReplaced".split())
    assert account.kid
    seen = set(re.findall(re.escape(ERROR) + r"(\w+)", app.log()))
    assert seen and seen <= known, seen - known
