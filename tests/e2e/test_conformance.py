"""RFC 8555 §5 to §7.3 and §10.5 on the wire: transport, nonces, errors, accounts. tests/conformance/rfc8555.md says which test shows what."""
import contextlib
import itertools
import json
import re
import sqlite3

import pytest

from appliance import OTHER_SECRET, ROOT, SECRET
from jws_client import ERROR, Acme, Key, assert_problem, assert_sentence, b64, external_account, make_csr, split_chain

COUNTER = itertools.count()
BASE64URL = re.compile(r"[A-Za-z0-9_-]+")
# RFC 8555 §9.7.4 and RFC 9773 §7.4; invalidProfile is to be registered by the profiles draft.
REGISTERED = {"accountDoesNotExist", "alreadyRevoked", "badCSR", "badNonce", "badPublicKey", "badRevocationReason", "badSignatureAlgorithm",
              "caa", "compound", "connection", "dns", "externalAccountRequired", "incorrectResponse", "invalidContact", "malformed",
              "orderNotReady", "rateLimited", "rejectedIdentifier", "serverInternal", "tls", "unauthorized", "unsupportedContact",
              "unsupportedIdentifier", "userActionRequired", "alreadyReplaced", "invalidProfile"}
ELSEWHERE = {"https": ["127.0.0.1:8443"], "http": ["127.0.0.1:8080"], "dns": ["127.0.0.1:8053"]}


@pytest.fixture(scope="module")
def account(app):
    return Acme(app).register(contact=["mailto:admin@svc.test"])


@pytest.fixture
def make_other(make_appliance, app):  # pylint: disable=unused-argument
    """Another appliance beside the file's own, with its own settings for `acme`."""
    def make(**acme):
        one = make_appliance(listen=ELSEWHERE, public_url="https://localhost:8443", acme={"authorization_reuse": 0, **acme})
        return one.start()
    return make


def fresh_name():
    return f"c{next(COUNTER)}.svc.test"


def order_payload(name=None):
    return {"identifiers": [{"type": "dns", "value": name or fresh_name()}]}


def objects_of(account):  # pylint: disable=redefined-outer-name
    """One URL of every kind that belongs to the account."""
    url, order = account.order(fresh_name())
    account.prove(order)
    done = account.finalize(order).json()
    authorization = account.post(order["authorizations"][0]).json()
    return {"account": account.kid, "orders": account.post(account.kid).json()["orders"], "order": url, "finalize": order["finalize"],
            "authorization": order["authorizations"][0], "challenge": authorization["challenges"][0]["url"],
            "certificate": done["certificate"]}


# --- §5, §6.1 ------------------------------------------------------------------------------------------------------------------------
def test_every_body_is_utf8(app, account):
    replies = [account.session.get(app.directory_url, timeout=30), account.new_order(fresh_name()), account.new_order("b\u00fccher.svc.test"),
               account.post(account.urls["newOrder"], {"identifiers": [{"type": "\u00e4", "value": "\u202e"}]})]
    for reply in replies:
        assert json.loads(reply.content.decode("utf-8"))
        assert "charset" not in reply.headers["Content-Type"]


@pytest.mark.parametrize("part", ["protected", "payload", "signature"])
def test_padded_base64url_is_malformed(account, part):
    envelope = account.envelope(account.urls["newOrder"], order_payload())
    envelope[part] += "=" * (-len(envelope[part]) % 4 or 4)
    assert_problem(account.send(account.urls["newOrder"], envelope), 400, "malformed")


def test_padding_inside_the_payload_is_refused(account):
    _, order = account.order(fresh_name())
    account.prove(order)
    csr = b64(make_csr([order["identifiers"][0]["value"]]))
    assert_problem(account.post(order["finalize"], {"csr": csr + "=" * (-len(csr) % 4 or 4)}), 400, "malformed")


def test_what_the_server_encodes_has_no_padding(account):
    _, order = account.order(fresh_name())
    for challenge in account.post(order["authorizations"][0]).json()["challenges"]:
        if "token" in challenge:
            assert BASE64URL.fullmatch(challenge["token"]) and len(challenge["token"]) * 6 >= 128, challenge
    assert BASE64URL.fullmatch(account.fresh_nonce())


# --- §6.2 ----------------------------------------------------------------------------------------------------------------------------
def test_a_detached_payload_is_malformed(account):
    envelope = account.envelope(account.urls["newOrder"], order_payload())
    del envelope["payload"]
    assert_problem(account.send(account.urls["newOrder"], envelope), 400, "malformed")


def test_a_url_in_the_unprotected_part_does_not_count(account):
    url = account.urls["newOrder"]
    envelope = account.envelope(url, order_payload(), url=None)
    assert_problem(account.send(url, {**envelope, "url": url}), 400, "malformed")
    assert_problem(account.send(url, {**account.envelope(url, order_payload(), url=None), "header": {"url": url}}), 400, "malformed")


def test_a_nonce_in_the_unprotected_part_does_not_count(account):
    url = account.urls["newOrder"]
    nonce = account.fresh_nonce()
    envelope = account.envelope(url, order_payload(), nonce=None)
    assert_problem(account.send(url, {**envelope, "header": {"nonce": nonce}}), 400, "malformed")


def test_a_jwk_that_did_not_sign(app):
    stranger = Acme(app)
    reply = stranger.post(stranger.urls["newAccount"], {}, jwk=Key().jwk())
    assert_problem(reply, 400, "malformed")


def test_a_refused_key_says_why(app):
    for key, word in ((Key("RS256", 1024), "1024"), (Key("RS256", 1536), "1536")):
        stranger = Acme(app, key=key)
        assert_problem(stranger.post(stranger.urls["newAccount"], {}), 400, "badPublicKey", word)
    stranger = Acme(app)
    jwk = {**stranger.key.jwk(), "crv": "secp256k1"}
    assert_problem(stranger.post(stranger.urls["newAccount"], {}, jwk=jwk), 400, "badPublicKey", "secp256k1")


# --- §6.3 ----------------------------------------------------------------------------------------------------------------------------
def test_get_is_405_but_where_it_is_allowed(account):
    urls = {**objects_of(account), **{name: account.urls[name] for name in ("newAccount", "newOrder", "newAuthz", "revokeCert", "keyChange")}}
    for what, url in urls.items():
        reply = account.session.get(url, timeout=30)
        assert reply.status_code == 405, what
        assert reply.json()["type"] == ERROR + "malformed", what


def test_post_as_get_needs_the_owner(app, account):
    for what, url in objects_of(account).items():
        if what == "finalize":
            continue
        assert_problem(Acme(app).register().post(url), 403, "unauthorized")
        unsigned = account.session.post(url, data=b"", headers={"Content-Type": "application/jose+json"}, timeout=30)
        assert_problem(unsigned, 400, "malformed")
        assert account.post(url).status_code == 200, what


def test_directory_and_nonce_by_get_and_by_post_as_get(app, account):
    for path in ("/acme/directory", "/acme/p/short/directory"):
        plain, signed = account.session.get(app.url + path, timeout=30), account.post(app.url + path)
        assert (plain.status_code, signed.status_code) == (200, 200)
        assert plain.json() == signed.json() and plain.headers["Content-Type"] == signed.headers["Content-Type"]
    plain, signed = account.session.get(account.urls["newNonce"], timeout=30), account.post(account.urls["newNonce"])
    assert (plain.status_code, signed.status_code) == (204, 204)
    assert plain.content == signed.content == b""
    assert signed.headers["Cache-Control"] == "no-store" and signed.headers["Replay-Nonce"]
    assert_problem(account.post(app.directory_url, {}), 400, "malformed")
    assert_problem(account.post(account.urls["newNonce"], {}), 400, "malformed")


# --- §6.4 ----------------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("url", ["https://ca.svc.test/acme/new-order?", "https://ca.svc.test/acme/%6eew-order", "https://ca.svc.test//acme/new-order",
                                 "https://ca.svc.test/acme/new-order#x", "https://ca.svc.test/acme/new-account",
                                 "https://localhost/acme/new-order", "http://ca.svc.test/acme/new-order"])
def test_the_url_is_compared_as_text(account, url):
    assert_problem(account.post(account.urls["newOrder"], order_payload(), url=url), 403, "unauthorized")


# --- §6.5 ----------------------------------------------------------------------------------------------------------------------------
def test_every_answer_to_a_post_has_a_nonce(app, account):
    objects = objects_of(account)
    good = [account.post(url) for what, url in objects.items() if what != "finalize"]
    good += [account.new_order(fresh_name()), account.post(account.urls["newAuthz"], {"identifier": {"type": "dns", "value": fresh_name()}}),
             Acme(app, key=account.key).post(account.urls["newAccount"], {}), account.post(account.kid, {"contact": []})]
    bad = [account.new_order("example.org"), account.post(objects["order"], {}), account.send(account.urls["newOrder"], b"x"),
           account.send(account.urls["newOrder"], account.envelope(account.urls["newOrder"], {}), content_type="text/plain"),
           account.post(app.url + "/acme/order/" + "A" * 22), account.post(account.urls["newOrder"], order_payload(), nonce="A" * 22)]
    for reply in good:
        assert reply.status_code in (200, 201), reply.text
    for reply in bad:
        assert reply.status_code >= 400
    nonces = [reply.headers["Replay-Nonce"] for reply in good + bad]
    assert len(set(nonces)) == len(nonces) and all(map(BASE64URL.fullmatch, nonces))


def test_the_nonce_of_an_error_is_good(account):
    nonce = account.post(account.urls["newOrder"], order_payload(), nonce="A" * 22).headers["Replay-Nonce"]
    assert account.post(account.urls["newOrder"], order_payload(), nonce=nonce).status_code == 201
    assert_problem(account.post(account.urls["newOrder"], order_payload(), nonce=nonce), 400, "badNonce")


def test_nonces_are_unlike_each_other(account):
    nonces = [account.fresh_nonce() for _ in range(300)]
    assert len(set(nonces)) == len(nonces)
    tails = {nonce[-20:] for nonce in nonces}  # whatever else a nonce holds, this much of it is no count
    assert len(tails) == len(nonces)


@pytest.mark.parametrize("nonce", ["####", "AAAA=", "a b", "\u00e4"])
def test_a_nonce_that_is_not_base64url_is_malformed(account, nonce):
    reply = account.post(account.urls["newOrder"], order_payload(), nonce=nonce)
    assert_problem(reply, 400, "malformed")
    assert reply.headers["Replay-Nonce"]


# --- §6.6, §6.7 ----------------------------------------------------------------------------------------------------------------------
def test_a_rate_limit_says_when_and_which(make_appliance):
    """From an address that is not loopback, where limits are off."""
    one = make_appliance(listen={**ELSEWHERE, "https": ["10.8.10.253:8443"]}, public_url="https://ca.svc.test:8443",
                         acme={"rate_limits": {"new_accounts": 2}}).start()
    account = Acme(one).register()  # pylint: disable=redefined-outer-name
    Acme(one).register()
    stranger = Acme(one)
    reply = stranger.post(stranger.urls["newAccount"], {})
    assert_problem(reply, 429, "rateLimited", "new accounts per network")
    assert 0 < int(reply.headers["Retry-After"]) <= 3600
    assert account.post(account.kid).status_code == 200, "what is no new account goes on"


def test_every_error_type_of_the_source_is_registered():
    """The table of problem.c holds no type that nobody registered."""
    source = (ROOT / "acme-server" / "problem.c").read_text(encoding="utf-8")
    types = set(re.findall(r'URN_PREFIX "(\w+)"', source))
    assert types and types <= REGISTERED, types - REGISTERED


def test_identifiers_stand_in_subproblems_only(account):
    problem = account.new_order("fine.svc.test", "a.example.org", "not a name").json()
    assert "identifier" not in problem
    assert {one["identifier"]["value"].replace("?", " "): one["identifier"]["type"] for one in problem["subproblems"]} == \
        {"a.example.org": "dns", "not a name": "dns"}
    for one in problem["subproblems"]:
        assert one["type"].startswith(ERROR)
        assert_sentence(one["detail"])


# --- §7.1, §7.2 ----------------------------------------------------------------------------------------------------------------------
def test_the_directory(app, account):
    directory = account.session.get(app.directory_url, timeout=30)
    urls = directory.json()
    meta = urls.pop("meta")
    assert {"newNonce", "newAccount", "newOrder", "newAuthz", "revokeCert", "keyChange", "renewalInfo"} == set(urls)
    assert len(set(urls.values())) == len(urls) and app.directory_url not in urls.values()
    assert isinstance(meta, dict) and meta["caaIdentities"] == ["ca.svc.test"] and meta["externalAccountRequired"] is False
    assert "termsOfService" not in meta


def test_pre_authorization_is_there_as_the_directory_says(account):
    reply = account.post(account.urls["newAuthz"], {"identifier": {"type": "dns", "value": fresh_name()}})
    assert reply.status_code == 201 and reply.json()["status"] == "pending"
    assert account.post(reply.headers["Location"]).json()["identifier"] == reply.json()["identifier"]


def test_the_index_link_is_everywhere_but_on_the_directory(app, account):
    index = f'<{app.directory_url}>;rel="index"'
    assert "Link" not in account.session.get(app.directory_url, timeout=30).headers
    for what, url in objects_of(account).items():
        assert index in account.post(url).headers["Link"], what
    assert index in account.session.head(account.urls["newNonce"], timeout=30).headers["Link"]
    assert index in account.new_order("example.org").headers["Link"]


def test_the_orders_list(app):
    one = Acme(app).register()
    pending, _ = one.order(fresh_name())
    valid, order = one.order(fresh_name())
    one.prove(order)
    assert one.finalize(order).json()["status"] == "valid"
    invalid, order = one.order(fresh_name())
    one.post(order["authorizations"][0], {"status": "deactivated"})
    assert one.post(invalid).json()["status"] == "invalid"
    reply = one.post(one.post(one.kid).json()["orders"])
    assert reply.status_code == 200 and set(reply.json()) == {"orders"}
    assert pending in reply.json()["orders"] and valid in reply.json()["orders"] and invalid not in reply.json()["orders"]


def test_new_nonce_by_head_and_by_get(account):
    head, get = account.session.head(account.urls["newNonce"], timeout=30), account.session.get(account.urls["newNonce"], timeout=30)
    assert (head.status_code, get.status_code, get.content) == (200, 204, b"")
    for reply in (head, get):
        assert "no-store" in reply.headers["Cache-Control"]
        assert account.post(account.urls["newOrder"], order_payload(), nonce=reply.headers["Replay-Nonce"]).status_code == 201


# --- §7.3 ----------------------------------------------------------------------------------------------------------------------------
def test_only_return_existing_makes_no_account(app):
    stranger = Acme(app)
    for _ in range(2):
        assert_problem(stranger.post(stranger.urls["newAccount"], {"onlyReturnExisting": True, "contact": ["mailto:a@svc.test"]}), 400,
                       "accountDoesNotExist")
    assert stranger.post(stranger.urls["newAccount"], {"contact": ["mailto:a@svc.test"]}).status_code == 201


def test_members_that_the_server_does_not_know_are_neither_kept_nor_shown(app):
    one = Acme(app)
    reply = one.post(one.urls["newAccount"], {"contact": ["mailto:a@svc.test"], "orders": "https://example.org/", "status": "revoked",
                                              "onlyReturnExisting": False, "unknown": {"deep": [1]}})
    assert reply.status_code == 201, reply.text
    assert set(reply.json()) <= {"status", "contact", "orders", "termsOfServiceAgreed"}
    assert reply.json()["status"] == "valid" and reply.json()["orders"].startswith(app.url)


@pytest.mark.parametrize("contact, kind, words", [
    ("tel:+15551234", "unsupportedContact", ["mailto:"]), ("https://example.org", "unsupportedContact", ["mailto:"]),
    ("mailto:", "invalidContact", []), ("mailto:a@svc.test?subject=x", "invalidContact", []),
    ("mailto:a@svc.test,b@svc.test", "invalidContact", []), ("mailto:nobody", "invalidContact", [])])
def test_a_contact_that_is_refused(app, contact, kind, words):
    stranger = Acme(app)
    assert_problem(stranger.post(stranger.urls["newAccount"], {"contact": ["mailto:good@svc.test", contact]}), 400, kind, *words)


def test_terms_of_service(make_other):
    terms = "https://example.org/terms/1"
    one = make_other(terms_of_service=terms)
    stranger = Acme(one)
    assert stranger.session.get(one.directory_url, timeout=30).json()["meta"]["termsOfService"] == terms
    for payload in ({}, {"termsOfServiceAgreed": False}, {"termsOfServiceAgreed": None}):
        reply = stranger.post(stranger.urls["newAccount"], payload)
        problem = assert_problem(reply, 403, "userActionRequired", terms)
        assert f'<{terms}>;rel="terms-of-service"' in reply.headers["Link"] and problem["instance"].startswith("https://")
    stranger.register()
    assert stranger.post(stranger.kid).json()["termsOfServiceAgreed"] is True


def test_new_terms_do_not_stop_an_account_that_agreed_to_the_old_ones(make_other):
    one = make_other(terms_of_service="https://example.org/terms/1")
    account = Acme(one).register()  # pylint: disable=redefined-outer-name
    one.config["acme"]["terms_of_service"] = "https://example.org/terms/2"
    one.restart()
    assert account.again().new_order(fresh_name()).status_code == 201


def test_a_known_key_finds_its_account_and_changes_nothing(app):
    one = Acme(app).register(contact=["mailto:first@svc.test"])
    same = Acme(app, key=one.key)
    for payload in ({"contact": ["mailto:second@svc.test"]}, {"onlyReturnExisting": True}, {"status": "deactivated"}):
        reply = same.post(same.urls["newAccount"], payload)
        assert reply.status_code == 200 and reply.headers["Location"] == one.kid
        assert reply.json()["contact"] == ["mailto:first@svc.test"] and reply.json()["status"] == "valid"


def test_an_account_update(app):
    one = Acme(app).register(contact=["mailto:first@svc.test"])
    before = one.post(one.kid).json()
    ignored = one.post(one.kid, {"orders": "https://example.org/", "termsOfServiceAgreed": False, "status": "revoked", "unknown": 1,
                                 "externalAccountBinding": {}})
    assert ignored.status_code == 200 and ignored.json() == before
    changed = one.post(one.kid, {"contact": ["mailto:second@svc.test"]})
    assert changed.status_code == 200 and changed.json() == {**before, "contact": ["mailto:second@svc.test"]}
    assert one.post(one.kid).json() == changed.json()


# --- §7.3.4 --------------------------------------------------------------------------------------------------------------------------
def test_an_external_account_is_asked_for(make_other):
    one = make_other(external_account_required=True)
    stranger = Acme(one)
    assert stranger.session.get(one.directory_url, timeout=30).json()["meta"]["externalAccountRequired"] is True
    assert_problem(stranger.post(stranger.urls["newAccount"], {}), 403, "externalAccountRequired")
    assert_problem(stranger.post(stranger.urls["newAccount"], {"externalAccountBinding": None}), 403, "externalAccountRequired")


def test_a_binding_is_verified_and_shown_as_it_was_sent(app):
    for alg in ("HS256", "HS384", "HS512"):
        one = Acme(app)
        binding = external_account("lego", SECRET, one.key, one.urls["newAccount"], alg)
        reply = one.post(one.urls["newAccount"], {"externalAccountBinding": binding})
        assert reply.status_code == 201 and reply.json()["externalAccountBinding"] == binding, reply.text
        one.kid = reply.headers["Location"]
        assert one.post(one.kid).json()["externalAccountBinding"] == binding
    assert "externalAccountBinding" not in Acme(app).register().post(one.kid).json()


BAD_BINDINGS = {
    "not a JWS": ("malformed", lambda one, url: {"kid": "lego"}),
    "a string": ("malformed", lambda one, url: "lego"),
    "a signature's algorithm": ("badSignatureAlgorithm", lambda one, url: external_account("lego", SECRET, one.key, url, alg="ES256")),
    "no algorithm": ("badSignatureAlgorithm", lambda one, url: external_account("lego", SECRET, one.key, url, alg="none")),
    "no kid": ("malformed", lambda one, url: external_account("lego", SECRET, one.key, url, kid=None)),
    "a kid that is not ASCII": ("malformed", lambda one, url: external_account("l\u00e9go", SECRET, one.key, url)),
    "a kid that nobody has": ("unauthorized", lambda one, url: external_account("nobody", SECRET, one.key, url)),
    "another client's key": ("unauthorized", lambda one, url: external_account("lego", OTHER_SECRET, one.key, url)),
    "with a nonce": ("malformed", lambda one, url: external_account("lego", SECRET, one.key, url, nonce=one.fresh_nonce())),
    "another URL": ("malformed", lambda one, url: external_account("lego", SECRET, one.key, url + "s")),
    "another account's key": ("malformed", lambda one, url: external_account("lego", SECRET, Key(), url)),
}


@pytest.mark.parametrize("kind, make", BAD_BINDINGS.values(), ids=BAD_BINDINGS)
def test_a_binding_that_does_not_verify(make_appliance, kind, make):
    """From a stranger's own appliance: wrong credentials are counted per address."""
    one = make_appliance(listen=ELSEWHERE, public_url="https://localhost:8443").start()
    stranger = Acme(one)
    reply = stranger.post(stranger.urls["newAccount"], {"externalAccountBinding": make(stranger, stranger.urls["newAccount"])})
    assert_problem(reply, 403 if kind == "unauthorized" else 400, kind)
    assert_problem(stranger.post(stranger.urls["newAccount"], {"onlyReturnExisting": True}), 400, "accountDoesNotExist")


# --- §7.3.5 --------------------------------------------------------------------------------------------------------------------------
def test_a_key_change_does_what_it_says_and_nothing_else(app):
    one = Acme(app).register(contact=["mailto:a@svc.test"])
    url, order = one.order(fresh_name())
    ready_url, ready = one.order(fresh_name())
    one.prove(ready)
    before, authorization = one.post(one.kid).json(), one.post(order["authorizations"][0]).json()
    old, new = one.key, Key("ES384")
    assert one.key_change(new).status_code == 200
    assert_problem(one.post(one.kid), 400, "badSignatureAlgorithm")
    one.key = new
    assert one.post(one.kid).json() == before
    assert one.post(url).json() == order and one.post(order["authorizations"][0]).json() == authorization
    one.prove(order)
    assert one.finalize(order).json()["status"] == one.finalize(ready).json()["status"] == "valid"
    assert one.post(ready_url).json()["status"] == "valid"
    stranger = Acme(app, key=old)
    assert_problem(stranger.post(stranger.urls["newAccount"], {"onlyReturnExisting": True}), 400, "accountDoesNotExist")


BAD_CHANGES = {
    "no inner JWS": (400, "malformed", lambda one, new: one.post(one.urls["keyChange"], {"account": one.kid})),
    "inner without jwk": (400, "malformed", lambda one, new: one.key_change(new, inner={"jwk": None, "kid": one.kid})),
    "inner with both": (400, "malformed", lambda one, new: one.key_change(new, inner={"kid": one.kid})),
    "inner signed by the old key": (400, "malformed", lambda one, new: one.key_change(new, signer=one.key)),
    "inner with a nonce": (400, "malformed", lambda one, new: one.key_change(new, inner={"nonce": one.fresh_nonce()})),
    "inner for another URL": (400, "malformed", lambda one, new: one.key_change(new, inner={"url": one.urls["newOrder"]})),
    "inner without a URL": (400, "malformed", lambda one, new: one.key_change(new, inner={"url": None})),
    "another account": (400, "malformed", lambda one, new: one.key_change(new, account=one.kid[:-22] + "A" * 22)),
    "the account in other words": (400, "malformed", lambda one, new: one.key_change(new, account=one.kid.replace("ca.svc.test", "CA.svc.test"))),
    "no account": (400, "malformed", lambda one, new: one.key_change(new, account=None)),
    "another old key": (400, "malformed", lambda one, new: one.key_change(new, old_key=Key().jwk())),
    "no old key": (400, "malformed", lambda one, new: one.key_change(new, old_key=None)),
    "with a header": (400, "malformed", lambda one, new: one.key_change(new, outer={"header": {}})),
    "outer by jwk": (400, "malformed", lambda one, new: one.post(one.urls["keyChange"], {}, kid=None, jwk=one.key.jwk())),
    "a weak key": (400, "badPublicKey", lambda one, new: one.key_change(Key("RS256", 1024))),
}


@pytest.mark.parametrize("status, kind, change", BAD_CHANGES.values(), ids=BAD_CHANGES)
def test_a_key_change_that_is_refused(app, status, kind, change):
    one = Acme(app).register()
    assert_problem(change(one, Key()), status, kind)
    assert one.post(one.kid).status_code == 200, "the old key is still the account's"


def test_a_key_change_to_a_key_in_use_is_a_conflict(app):
    one, other = Acme(app).register(), Acme(app).register()
    reply = one.key_change(other.key)
    assert_problem(reply, 409, "malformed")
    assert reply.headers["Location"] == other.kid
    assert one.post(one.kid).status_code == other.post(other.kid).status_code == 200


def test_a_deactivated_account_cannot_change_its_key(app):
    one = Acme(app).register()
    one.post(one.kid, {"status": "deactivated"})
    assert_problem(one.key_change(Key()), 401, "unauthorized")


# --- §7.3.6 --------------------------------------------------------------------------------------------------------------------------
def test_deactivation_ends_what_is_pending_and_revokes_nothing(app):
    one = Acme(app).register()
    objects = objects_of(one)
    leaf = split_chain(one.post(objects["certificate"]).text)[0]
    pending, order = one.order(fresh_name())
    assert_problem(Acme(app).register().post(one.kid, {"status": "deactivated"}), 403, "unauthorized")
    reply = one.post(one.kid, {"status": "deactivated"})
    assert reply.status_code == 200 and reply.json()["status"] == "deactivated"
    for url in (*objects.values(), pending, order["authorizations"][0]):
        assert_problem(one.post(url), 401, "unauthorized")
    for url, payload in ((one.urls["newOrder"], order_payload()), (one.kid, {"contact": []}), (one.kid, {"status": "valid"}),
                         (one.urls["newAuthz"], {"identifier": {"type": "dns", "value": fresh_name()}})):
        assert_problem(one.post(url, payload), 401, "unauthorized")
    again = Acme(app, key=one.key)
    assert_problem(again.post(again.urls["newAccount"], {}), 401, "unauthorized")
    with contextlib.closing(sqlite3.connect(f"file:{app.state}/bailiwick.db?mode=ro", uri=True)) as database:
        statuses = database.execute("SELECT status FROM acme_order WHERE id = ?", (pending.rpartition("/")[2],)).fetchall()
        done = database.execute("SELECT status FROM acme_order WHERE id = ?", (objects["order"].rpartition("/")[2],)).fetchall()
        revoked = database.execute("SELECT revoked_unix FROM certificate WHERE ltrim(serial, '0') = ?", (f"{leaf.serial_number:x}",)).fetchall()
    assert statuses != done, "the pending order ended, and not well"
    assert revoked in ([(0,)], [(None,)])


# --- §10.5 ---------------------------------------------------------------------------------------------------------------------------
def test_urls_have_an_unpredictable_component(app, account):
    ids = []
    for _ in range(5):
        ids += [url.rstrip("/").rpartition("/")[2] for what, url in objects_of(Acme(app).register()).items()
                if what in ("account", "order", "authorization", "certificate")]
    assert len(set(ids)) == len(ids)
    assert all(BASE64URL.fullmatch(one) and len(one) * 6 >= 128 for one in ids), ids
    assert len({one[:4] for one in ids}) > len(ids) - 3 and len({one[-4:] for one in ids}) > len(ids) - 3
    assert_problem(account.post(app.url + "/acme/order/" + "A" * 22), 404, "malformed")
