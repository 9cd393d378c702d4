"""Orders and authorizations: newAuthz, deactivation, reuse, dates, profiles, chains, what clients rely on. RFC 8555 §7.4, §7.5."""
import base64
import contextlib
import datetime
import hashlib
import json
import pathlib
import sqlite3
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from appliance import running
from jws_client import ERROR, Acme, assert_problem, assert_sentence, b64, make_csr, split_chain
from tools import run

PROFILES = [{"name": "week", "lifetime": "7d", "description": "a week"},
            {"name": "mtls", "lifetime": "90d", "usages": ["server-auth", "client-auth"], "key_types": ["ec"]},
            {"name": "hour", "lifetime": "1h", "key_types": ["rsa", "ed25519"]}]


@pytest.fixture(scope="module")
def app(resolv_conf, tmp_path_factory):
    with running(tmp_path_factory.mktemp("appliance"), acme={"authorization_reuse": "1h"}, profiles=PROFILES) as one:
        yield one


@pytest.fixture
def account(app):
    return Acme(app).register()


def issued(account, *names, csr=None, **more):
    """Order, prove, finalize; the chain as certificates."""
    _, order = account.order(*names, **more)
    account.prove(order)
    done = account.finalize(order, csr=csr)
    assert done.status_code == 200 and done.json()["status"] == "valid", done.text
    return split_chain(account.post(done.json()["certificate"]).text)


def rfc3339(when):
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


def now():
    return datetime.datetime.utcnow().replace(microsecond=0)


# --- what clients rely on (client-contract.md §2.11) ------------------------------------------------------------------------


def test_the_reply_to_new_order_is_the_order_in_every_state(account):
    reply = account.new_order("same.svc.test", "*.same.svc.test", unknown={"member": 1})
    url = reply.headers["Location"]
    again = account.post(url)
    assert reply.json() == again.json() and again.headers["Location"] == url
    order = reply.json()
    assert set(order) == {"status", "expires", "identifiers", "profile", "authorizations", "finalize"}
    account.prove(order)
    ready = account.post(url).json()
    assert ready == {**order, "status": "ready", "expires": ready["expires"]}
    done = account.finalize(order)
    assert done.headers["Location"] == url
    assert done.json() == account.post(url).json() == {**ready, "status": "valid", "certificate": done.json()["certificate"]}


def test_absent_and_empty_order_members_are_the_same(account):
    _, order = account.order("empty.svc.test", notBefore="", notAfter=None, profile="", replaces=None)
    assert set(order) == {"status", "expires", "identifiers", "profile", "authorizations", "finalize"}


def test_a_leaf_has_no_common_name_and_few_usages(account):
    leaf, *_ = issued(account, "leaf.svc.test", csr=make_csr(["leaf.svc.test"], common_name="leaf.svc.test"))
    assert leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME) == []
    assert leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).critical
    usage = leaf.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage == x509.KeyUsage(True, False, False, False, False, False, False, False, False)
    leaf, *_ = issued(account, "rsa.svc.test", csr=make_csr(["rsa.svc.test"], rsa.generate_private_key(65537, 2048)))
    usage = leaf.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.digital_signature and usage.key_encipherment


def test_deactivating_an_authorization_ends_its_pending_order(account):
    url, order = account.order("ends.svc.test", "stays.svc.test")
    one = order["authorizations"][0]
    reply = account.post(one, {"status": "deactivated"})
    assert (reply.status_code, reply.json()["status"]) == (200, "deactivated")
    ended = account.post(url).json()
    assert ended["status"] == "invalid"
    assert_sentence(ended["error"]["detail"])
    assert_problem(account.finalize(order), 403, "orderNotReady")
    assert_problem(account.post(one, {"status": "deactivated"}), 400, "malformed")
    for challenge in account.post(one).json()["challenges"]:
        assert challenge["status"] == "invalid"
        assert account.post(challenge["url"], {}).json()["status"] == "invalid"


def test_deactivating_a_valid_authorization_ends_its_ready_order(account):
    url, order = account.order("revoked-proof.svc.test")
    account.prove(order)
    assert account.post(order["authorizations"][0], {"status": "deactivated"}).json()["status"] == "deactivated"
    assert account.post(url).json()["status"] == "invalid"
    _, again = account.order("revoked-proof.svc.test")
    assert again["status"] == "pending" and again["authorizations"] != order["authorizations"], "it is not reused either"


@pytest.mark.parametrize("payload", [{}, {"status": "valid"}, {"status": "revoked"}, {"status": None}, {"status": 1}, []], ids=json.dumps)
def test_an_authorization_update_that_is_malformed(account, payload):
    _, order = account.order("update.svc.test")
    assert_problem(account.post(order["authorizations"][0], payload), 400, "malformed")
    assert account.post(order["authorizations"][0]).json()["status"] == "pending"


def test_whatever_can_be_decided_at_once_is(account):
    """Challenge and finalize are answered with the final state in the same reply: no client waits."""
    _, order = account.order("once.svc.test")
    authorization, challenge = account.challenge_of(order["authorizations"][0])
    assert authorization["status"] == "pending"
    account.publish(authorization, challenge)
    answer = account.post(challenge["url"], {})
    assert answer.json()["status"] == "valid" and "validated" in answer.json()
    assert f'<{order["authorizations"][0]}>;rel="up"' in answer.headers["Link"]
    assert account.finalize(order).json()["status"] == "valid"
    valid = account.post(order["authorizations"][0]).json()
    assert valid["status"] == "valid" and [one["type"] for one in valid["challenges"]] == ["dns-01"]


def test_polling_says_when_to_come_again(account):
    url, order = account.order("poll.svc.test")
    _, challenge = account.challenge_of(order["authorizations"][0])
    assert account.post(order["authorizations"][0]).headers["Retry-After"] == "1"
    started = account.post(challenge["url"], {})
    assert started.json()["status"] == "processing" and started.headers["Retry-After"] == "1"
    assert account.post(url).json()["status"] == "pending"


def test_the_challenges_that_an_identifier_gets(account):
    """Wildcards: DNS only; everything has a fresh token of its own (RFC 8555 §8.3 to §8.4, RFC 8737)."""
    _, order = account.order("kinds.svc.test", "*.kinds.svc.test")
    tokens = set()
    for url in order["authorizations"]:
        authorization = account.post(url).json()
        kinds = {one["type"]: one for one in authorization["challenges"]}
        names = {"dns-01", "dns-account-01", "dns-persist-01"}
        assert set(kinds) == (names if authorization.get("wildcard") else names | {"http-01", "tls-alpn-01"})
        tokens.update(one["token"] for one in kinds.values() if "token" in one)
        assert len(base64.urlsafe_b64decode(kinds["dns-01"]["token"] + "=")) == 32
    assert len(tokens) == 2 + 4


# --- newAuthz ---------------------------------------------------------------------------------------------------------------


def new_authz(account, value, kind="dns", **more):
    return account.post(account.urls["newAuthz"], {"identifier": {"type": kind, "value": value}, **more})


def test_pre_authorization(account):
    reply = new_authz(account, "Ahead.svc.test", unknown=1)
    assert reply.status_code == 201, reply.text
    url, authorization = reply.headers["Location"], reply.json()
    assert authorization["identifier"] == {"type": "dns", "value": "ahead.svc.test"} and "wildcard" not in authorization
    assert account.post(url).json() == authorization
    _, challenge = account.challenge_of(url)
    account.publish(authorization, challenge)
    assert account.post(challenge["url"], {}).json()["status"] == "valid"
    _, order = account.order("ahead.svc.test")
    assert order["status"] == "ready" and order["authorizations"] == [url]
    assert account.finalize(order).json()["status"] == "valid"
    _, wild = account.order("*.ahead.svc.test")
    assert wild["status"] == "pending", "reuse is per exact identifier"


@pytest.mark.parametrize("payload, kind", [
    ({}, "malformed"), ({"identifier": []}, "malformed"), ({"identifier": {"type": "dns"}}, "malformed"), ({"identifier": {"value": "x.svc.test"}}, "malformed"),
    ({"identifier": {"type": "dns", "value": "*.svc.test"}}, "malformed"), ({"identifier": {"type": "dns", "value": "x..svc.test"}}, "malformed"),
    ({"identifier": {"type": "email", "value": "a@svc.test"}}, "unsupportedIdentifier"),
    ({"identifier": {"type": "dns", "value": "example.org"}}, "rejectedIdentifier"),
    ({"identifier": {"type": "dns", "value": "x.acme.svc.test"}}, "rejectedIdentifier"),
    ({"identifier": {"type": "ip", "value": "10.8.10.20"}}, "rejectedIdentifier")], ids=lambda value: json.dumps(value)[:50])
def test_a_new_authz_that_is_refused(account, payload, kind):
    reply = account.post(account.urls["newAuthz"], payload)
    assert reply.status_code in (400, 403)
    assert_problem(reply, reply.status_code, kind)


# --- reuse ------------------------------------------------------------------------------------------------------------------


def test_valid_authorizations_are_reused_by_their_account_only(app, account):
    _, first = account.order("reuse.svc.test", "*.reuse.svc.test")
    account.prove(first)
    _, second = account.order("reuse.svc.test")
    assert second["status"] == "ready" and set(second["authorizations"]) < set(first["authorizations"])
    _, third = account.order("reuse.svc.test", "more.reuse.svc.test")
    assert third["status"] == "pending" and len(set(third["authorizations"]) & set(first["authorizations"])) == 1
    assert account.finalize(second).json()["status"] == "valid"
    _, other = Acme(app).register().order("reuse.svc.test")
    assert other["status"] == "pending"


def test_pending_authorizations_are_not_shared(account):
    """A failed challenge of one order must not end another."""
    _, first = account.order("twice.svc.test")
    _, second = account.order("twice.svc.test")
    assert first["authorizations"] != second["authorizations"]
    account.post(first["authorizations"][0], {"status": "deactivated"})
    account.prove(second)


# --- subproblems ------------------------------------------------------------------------------------------------------------


def test_refused_identifiers_come_as_subproblems(account):
    identifiers = [{"type": "dns", "value": "fine.svc.test"}, {"type": "dns", "value": "a.example.org"}, {"type": "ip", "value": "192.0.2.1"},
                   {"type": "dns", "value": "acme.svc.test"}]
    problem = assert_problem(account.post(account.urls["newOrder"], {"identifiers": identifiers}), 400, "rejectedIdentifier")
    assert [one["identifier"] for one in problem["subproblems"]] == identifiers[1:]
    for one in problem["subproblems"]:
        assert one["type"] == ERROR + "rejectedIdentifier"
        assert_sentence(one["detail"])
    mixed = account.post(account.urls["newOrder"], {"identifiers": [{"type": "dns", "value": "a..b"}, {"type": "dns", "value": "example.org"},
                                                                    {"type": "email", "value": "a@b"}]})
    problem = assert_problem(mixed, 400, "malformed")
    assert [one["type"] for one in problem["subproblems"]] == [ERROR + kind for kind in ("malformed", "rejectedIdentifier", "unsupportedIdentifier")]


# --- dates and profiles -----------------------------------------------------------------------------------------------------


def test_requested_dates_are_honoured_exactly(account):
    start = now() + datetime.timedelta(days=2)
    for not_before, not_after in ((start, start + datetime.timedelta(days=3)), (None, now() + datetime.timedelta(days=1)), (start, None),
                                  (now() - datetime.timedelta(minutes=30), None)):
        asked = {name: rfc3339(when) for name, when in (("notBefore", not_before), ("notAfter", not_after)) if when}
        _, order = account.order("dates.svc.test", **asked)
        assert {name: order[name] for name in asked} == asked
        leaf, *_ = issued(account, "dates.svc.test", **asked)
        if not_before:
            assert leaf.not_valid_before == not_before
        assert leaf.not_valid_after == (not_after or leaf.not_valid_before + datetime.timedelta(days=90, seconds=-1))


def test_dates_with_offsets_and_fractions(account):
    """RFC 3339 has more than one way to write a moment."""
    wanted = now() + datetime.timedelta(days=1)
    for text in ((wanted + datetime.timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%S.250+02:00"), wanted.strftime("%Y-%m-%dt%H:%M:%Sz")):
        leaf, *_ = issued(account, "offset.svc.test", notAfter=text)
        assert leaf.not_valid_after == wanted


BAD_DATES = {
    "not a date": {"notAfter": "tomorrow"}, "a number": {"notAfter": 1700000000}, "a date alone": {"notAfter": "2030-01-01"},
    "no zone": {"notAfter": "2030-01-01T00:00:00"}, "month 13": {"notBefore": "2030-13-01T00:00:00Z"}, "february 30": {"notBefore": "2030-02-30T00:00:00Z"},
    "long ago": {"notBefore": "1990-01-01T00:00:00Z"}, "far away": {"notAfter": "9999-12-31T23:59:59Z"}, "beyond time": {"notAfter": "99999-01-01T00:00:00Z"},
    "too late a start": {"notBefore": rfc3339(now() + datetime.timedelta(days=100))}, "too long": {"notAfter": rfc3339(now() + datetime.timedelta(days=91))},
    "backwards": {"notBefore": rfc3339(now() + datetime.timedelta(days=3)), "notAfter": rfc3339(now() + datetime.timedelta(days=2))},
    "over already": {"notAfter": rfc3339(now() - datetime.timedelta(days=1))},
}


@pytest.mark.parametrize("dates", BAD_DATES.values(), ids=BAD_DATES.keys())
def test_dates_that_no_profile_allows(account, dates):
    assert_problem(account.new_order("dates.svc.test", **dates), 400, "malformed")


def test_the_directory_lists_the_profiles(app, account):
    meta = account.session.get(app.directory_url, timeout=30).json()["meta"]
    assert set(meta["profiles"]) == {"default", "month", "short", "week", "mtls", "hour"}
    assert meta["profiles"]["week"] == "a week" and all(meta["profiles"].values())


@pytest.mark.parametrize("profile, days", [("default", 90), ("month", 30), ("short", 6), ("week", 7)])
def test_a_profile_is_shown_and_kept(account, profile, days):
    url, order = account.order(f"{profile}.svc.test", profile=profile)
    assert order["profile"] == profile
    leaf, *_ = issued(account, f"{profile}.svc.test", profile=profile)
    assert leaf.not_valid_after - leaf.not_valid_before == datetime.timedelta(days=days, seconds=-1)
    assert account.post(url).json()["profile"] == profile


def test_a_profile_chooses_usages_and_key_types(account):
    leaf, *_ = issued(account, "mtls.svc.test", profile="mtls")
    assert set(leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    for profile, key in (("mtls", rsa.generate_private_key(65537, 2048)), ("hour", ec.generate_private_key(ec.SECP256R1()))):
        url, order = account.order("keys.svc.test", profile=profile)
        account.prove(order)
        reply = account.finalize(order, csr=make_csr(["keys.svc.test"], key))
        assert_problem(reply, 400, "badPublicKey")
        assert account.post(url).json()["status"] == "ready", "another key may follow"


@pytest.mark.parametrize("profile", ["nothing", "DEFAULT", "x" * 500, "../default", "d\u00e9faut"], ids=ascii)
def test_a_profile_that_is_not_there(account, profile):
    assert_problem(account.new_order("x.svc.test", profile=profile), 400, "invalidProfile")
    assert_problem(account.new_order("x.svc.test", profile=7), 400, "malformed")


def test_a_directory_for_clients_that_cannot_name_a_profile(app, account):
    pinned = Acme(app, key=account.key, directory_path="/acme/p/week/directory")
    pinned.kid = account.kid
    assert pinned.urls["newOrder"] == f"{app.url}/acme/p/week/new-order"
    assert {name: url for name, url in pinned.urls.items() if name != "newOrder"} == {name: url for name, url in account.urls.items() if name != "newOrder"}
    leaf, *_ = issued(pinned, "pinned.svc.test")
    assert leaf.not_valid_after - leaf.not_valid_before == datetime.timedelta(days=7, seconds=-1)
    assert pinned.order("pinned.svc.test", profile="week")[1]["profile"] == "week"
    assert_problem(pinned.new_order("pinned.svc.test", profile="month"), 400, "invalidProfile")
    for path in ("nothing/directory", "week/", "week/new-nonce", "/directory", "week/directory/x", "%2e%2e/directory", "week%2fdirectory"):
        assert account.session.get(f"{app.url}/acme/p/{path}", timeout=30).status_code in (400, 404), path
    assert_problem(account.post(f"{app.url}/acme/p/nothing/new-order", {"identifiers": []}), 404, "malformed")


# --- the certificate and its chains -----------------------------------------------------------------------------------------


def test_a_certificate_as_it_is_downloaded(account):
    _, order = account.order("download.svc.test")
    account.prove(order)
    url = account.finalize(order).json()["certificate"]
    reply = account.post(url)
    assert reply.headers["Content-Type"] == "application/pem-certificate-chain"
    assert reply.text.startswith("-----BEGIN CERTIFICATE-----\n") and reply.text.endswith("-----END CERTIFICATE-----\n")
    leaf, issuer = split_chain(reply.text)
    assert leaf.issuer == issuer.subject and issuer.subject != issuer.issuer
    for accept in ("application/pem-certificate-chain", "*/*", "application/pkix-cert"):
        assert account.send(url, account.envelope(url, None), accept=accept).status_code in (200, 406)
    assert_problem(account.post(url, {}), 400, "malformed")
    assert_problem(account.post(url + "/1"), 404, "malformed")


def second_issuer(app, issuer):
    """The test's own root, and our issuing certificate signed by it: a cross-signed chain."""
    key = ec.generate_private_key(ec.SECP384R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "The Other Root")])

    def certificate(subject, public_key, length, key_id):
        builder = (x509.CertificateBuilder().subject_name(subject).issuer_name(name).public_key(public_key).serial_number(x509.random_serial_number())
                   .not_valid_before(now() - datetime.timedelta(days=1)).not_valid_after(now() + datetime.timedelta(days=1000))
                   .add_extension(x509.BasicConstraints(True, length), critical=True)
                   .add_extension(key_id, critical=False)
                   .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
                   .add_extension(x509.KeyUsage(False, False, False, False, False, True, True, False, False), critical=True))
        return builder.sign(key, hashes.SHA384())

    root = certificate(name, key.public_key(), None, x509.SubjectKeyIdentifier.from_public_key(key.public_key()))
    cross = certificate(issuer.subject, issuer.public_key(), 0, issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value)
    path = pathlib.Path(app.directory) / "other-root.pem"
    path.write_bytes(root.public_bytes(serialization.Encoding.PEM))
    return cross.public_bytes(serialization.Encoding.PEM).decode(), path


def test_alternate_chains(app, account):
    """There is no command for it yet: the row is what ca_issuer_add_alternate() writes."""
    _, order = account.order("alternate.svc.test")
    account.prove(order)
    url = account.finalize(order).json()["certificate"]
    first = account.post(url)
    assert 'rel="alternate"' not in first.headers["Link"]
    pem, root = second_issuer(app, split_chain(first.text)[1])
    not_after = int((now() + datetime.timedelta(days=1000)).replace(tzinfo=datetime.timezone.utc).timestamp())
    with contextlib.closing(sqlite3.connect(app.state / "bailiwick.db", timeout=30)) as database, database:
        name_key = database.execute("SELECT name_key FROM issuer WHERE alternate = 0").fetchone()[0]
        database.execute("INSERT INTO issuer (fingerprint, pem, name_key, not_after, alternate) VALUES (?, ?, ?, ?, 1)",
                         (hashlib.sha256(pem.encode()).hexdigest(), pem, name_key, not_after))
    first = account.post(url)
    assert f'<{url}/1>;rel="alternate"' in first.headers["Link"]
    second = account.post(url + "/1")
    assert second.status_code == 200 and f'<{url}>;rel="alternate"' in second.headers["Link"]
    assert split_chain(second.text)[0] == split_chain(first.text)[0] and split_chain(second.text)[1] != split_chain(first.text)[1]
    for text, anchor in ((first.text, app.root_pem), (second.text, root)):
        chain = pathlib.Path(app.directory) / "chain.pem"
        chain.write_text(text, encoding="ascii")
        assert run("openssl", "verify", "-x509_strict", "-CAfile", anchor, "-untrusted", chain, chain).text.strip().endswith("OK")
    for path in ("/2", "/01", "/0", "/-1", "/x", "/1/"):
        assert_problem(account.post(url + path), 404, "malformed")
    assert_problem(Acme(app).register().post(url + "/1"), 403, "unauthorized")


# --- many names -------------------------------------------------------------------------------------------------------------


def test_a_hundred_names_in_one_certificate(account):
    names = [f"n{number}.many.svc.test" for number in range(99)] + ["*.many.svc.test"]
    begun = time.monotonic()
    chain = issued(account, *names)
    assert len(chain) == 2 and time.monotonic() - begun < 120
    assert_problem(account.new_order(*names, "one.more.svc.test"), 400, "malformed")


def test_finalize_with_another_accounts_order(app, account):
    """Unknown, foreign and malformed are told apart, and nothing else is."""
    other = Acme(app).register()
    _, order = account.order("foreign.svc.test")
    account.prove(order)
    assert_problem(other.post(order["finalize"], {"csr": b64(make_csr(["foreign.svc.test"]))}), 403, "unauthorized")
    assert_problem(other.post(order["finalize"].replace("/finalize", "/finalise"), {}), 404, "malformed")
