"""revokeCert and renewal information. RFC 8555 §7.6, RFC 9773."""
import contextlib
import datetime
import sqlite3
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from appliance import running
from jws_client import Acme, Key, assert_problem, b64, make_csr, renewal_id, split_chain

LIMIT = 25  # orders an hour of one account


@pytest.fixture(scope="module")
def app(resolv_conf, tmp_path_factory):
    with running(tmp_path_factory.mktemp("appliance"), acme={"authorization_reuse": "1h", "rate_limits": {"orders": LIMIT, "new_accounts": 0}}) as one:
        yield one


@pytest.fixture
def account(app):
    return Acme(app).register()


def issued(account, *names, key=None, **more):
    _, order = account.order(*names, **more)
    if order["status"] == "pending":
        account.prove(order)
    done = account.finalize(order, csr=make_csr(names, key)).json()
    return split_chain(account.post(done["certificate"]).text)[0]


@pytest.fixture(scope="module")
def spare(app):
    """An account and a certificate of it that is not revoked."""
    owner = Acme(app).register()
    return owner, issued(owner, "spare.svc.test")


def der_of(certificate):
    return certificate.public_bytes(serialization.Encoding.DER)


def assert_audited(app, certificate, words):
    with contextlib.closing(sqlite3.connect(f"file:{app.state}/bailiwick.db?mode=ro", uri=True)) as database:
        rows = database.execute("SELECT * FROM audit WHERE event = 'certificate.revoke'").fetchall()
    found = [row for row in rows if any(str(field).lstrip("0") == f"{certificate.serial_number:x}" for field in row)]
    assert len(found) == 1 and words in str(found[0]), rows


# --- revocation -------------------------------------------------------------------------------------------------------------


def test_by_the_account_that_ordered_it(app, account):
    leaf = issued(account, "own.svc.test")
    reply = account.revoke(leaf, reason=1)
    assert (reply.status_code, reply.content) == (200, b"")
    assert reply.headers["Replay-Nonce"]
    assert_audited(app, leaf, "reason 1")


@pytest.mark.parametrize("alg", ["ES256", "ES384", "RS256", "EdDSA"])
def test_by_the_certificates_key(app, alg):
    """Without any account: the key of the certificate signs, with jwk."""
    key = Key(alg)
    names = [f"key-{alg.lower()}.svc.test"]
    account = Acme(app).register()
    _, order = account.order(*names)
    account.prove(order)
    if alg == "EdDSA":
        builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(names[0])]), False)
        csr = builder.sign(key.private, None).public_bytes(serialization.Encoding.DER)
    else:
        csr = make_csr(names, key.private)
    done = account.finalize(order, csr=csr).json()
    leaf = split_chain(account.post(done["certificate"]).text)[0]
    assert Acme(app, key=key).revoke(leaf, reason=4).status_code == 200
    assert_audited(app, leaf, "the certificate's key")
    assert_problem(account.revoke(leaf), 400, "alreadyRevoked")


def test_by_an_account_that_holds_authorizations_for_all_names(app, account):
    names = ["held.svc.test", "*.held.svc.test"]
    leaf = issued(account, *names)
    other = Acme(app).register()
    assert_problem(other.revoke(leaf), 403, "unauthorized")
    _, order = other.order(names[0])
    other.prove(order)
    assert_problem(other.revoke(leaf), 403, "unauthorized")
    _, order = other.order(names[1])
    other.prove(order)
    assert other.revoke(leaf).status_code == 200


def test_an_authorization_that_ended_does_not_count(app, account):
    leaf = issued(account, "ended.svc.test")
    other = Acme(app).register()
    _, order = other.order("ended.svc.test")
    other.prove(order)
    other.post(order["authorizations"][0], {"status": "deactivated"})
    assert_problem(other.revoke(leaf), 403, "unauthorized")
    assert account.revoke(leaf).status_code == 200


def test_a_second_revocation_is_already_revoked(account):
    leaf = issued(account, "second.svc.test")
    assert account.revoke(leaf).status_code == 200
    assert_problem(account.revoke(leaf), 400, "alreadyRevoked")
    assert_problem(account.revoke(leaf, reason=1), 400, "alreadyRevoked")


def test_somebody_elses_certificate(app, account):
    """By another account, another key, and a key that is an account's but not the certificate's."""
    leaf = issued(account, "theirs.svc.test")
    other = Acme(app).register()
    assert_problem(other.revoke(leaf), 403, "unauthorized")
    assert_problem(Acme(app).revoke(leaf), 403, "unauthorized")
    assert_problem(Acme(app, key=account.key).revoke(leaf), 403, "unauthorized")
    # A self-made certificate with somebody's serial and names, under one's own key.
    key = Key()
    forged = (x509.CertificateBuilder().subject_name(leaf.subject).issuer_name(leaf.issuer).public_key(key.private.public_key())
              .serial_number(leaf.serial_number).not_valid_before(leaf.not_valid_before).not_valid_after(leaf.not_valid_after)
              .sign(key.private, hashes.SHA256()))
    reply = Acme(app, key=key).revoke(forged)
    assert_problem(reply, 404, "malformed")
    assert account.revoke(leaf).status_code == 200


@pytest.mark.parametrize("reason, kind", [(2, "badRevocationReason"), (6, "badRevocationReason"), (7, "badRevocationReason"), (8, "badRevocationReason"),
                                          (9, "badRevocationReason"), (10, "badRevocationReason"), (11, "badRevocationReason"), (-1, "badRevocationReason"),
                                          (2**62, "badRevocationReason"), ("1", "malformed"), (1.5, "malformed"), ([1], "malformed"), (True, "malformed")])
def test_a_reason_that_is_not_accepted(spare, reason, kind):
    owner, leaf = spare
    assert_problem(owner.revoke(leaf, reason=reason), 400, kind)


@pytest.mark.parametrize("reason", [0, 1, 3, 4, 5, None])
def test_a_reason_that_is_accepted(account, reason):
    leaf = issued(account, "accepted.svc.test")
    assert account.revoke(leaf, reason=reason).status_code == 200


BAD_CERTIFICATES = {
    "nothing": {}, "null": {"certificate": None}, "number": {"certificate": 1}, "empty": {"certificate": ""}, "not base64": {"certificate": "!!!"},
    "garbage": {"certificate": b64(b"\x30\x03\x02\x01\x01")}, "list": {"certificate": ["AAAA"]}, "no object": [],
}


@pytest.mark.parametrize("payload", BAD_CERTIFICATES.values(), ids=BAD_CERTIFICATES.keys())
def test_a_revocation_that_is_malformed(app, account, payload):
    assert_problem(account.post(account.urls["revokeCert"], payload), 400, "malformed")
    stranger = Acme(app)
    assert_problem(stranger.post(stranger.urls["revokeCert"], payload), 400, "malformed")


def test_changed_bytes_are_no_certificate_of_ours(account):
    leaf = issued(account, "bytes.svc.test")
    for der in (der_of(leaf) + b"\0", der_of(leaf)[:-1], bytes([*der_of(leaf)[:-1], der_of(leaf)[-1] ^ 1]), leaf.public_bytes(serialization.Encoding.PEM)):
        reply = account.post(account.urls["revokeCert"], {"certificate": b64(der)})
        assert reply.status_code in (400, 404)
        assert_problem(reply, reply.status_code, "malformed")
    assert account.revoke(leaf).status_code == 200


def test_a_certificate_of_another_ca(account):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([])
    now = datetime.datetime.utcnow()
    foreign = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(5).not_valid_before(now)
               .not_valid_after(now + datetime.timedelta(days=1)).sign(key, hashes.SHA256()))
    assert_problem(account.revoke(foreign), 404, "malformed")


def test_the_keys_of_certificates_are_checked_like_others(app):
    """jwk of a weak or unusual key: refused before anything is looked up."""
    assert_problem(Acme(app, key=Key("RS256", 1024)).post(f"{app.url}/acme/revoke-cert", {"certificate": "AAAA"}), 400, "badPublicKey")


# --- renewal information ----------------------------------------------------------------------------------------------------


def window_of(account, certificate):
    reply = account.session.get(f"{account.urls['renewalInfo']}/{renewal_id(certificate)}", timeout=30)
    assert reply.status_code == 200, reply.text
    assert reply.headers["Content-Type"].split(";")[0] == "application/json"
    assert 60 <= int(reply.headers["Retry-After"]) <= 86400
    window = reply.json()["suggestedWindow"]
    start, end = (datetime.datetime.strptime(window[name], "%Y-%m-%dT%H:%M:%SZ") for name in ("start", "end"))
    assert start < end
    return start, end


def test_the_window_comes_from_the_lifetime(account):
    for profile in ("default", "short"):
        leaf = issued(account, "window.svc.test", profile=profile)
        start, end = window_of(account, leaf)
        life = leaf.not_valid_after - leaf.not_valid_before
        assert leaf.not_valid_before + life / 2 < start < end < leaf.not_valid_after
        assert window_of(account, leaf) == (start, end), "it does not wander"


def test_the_window_moves_into_the_past_on_revocation(account):
    leaf = issued(account, "past.svc.test")
    assert window_of(account, leaf)[0] > datetime.datetime.utcnow()
    assert account.revoke(leaf).status_code == 200
    assert window_of(account, leaf)[1] < datetime.datetime.utcnow()


def test_the_window_moves_before_an_issuer_changes(app, account):
    """There is no command for it yet: the column is what ca_issuer_renew_by() writes."""
    leaf = issued(account, "issuer-change.svc.test")
    renew_by = int(time.time()) + 10 * 86400
    with contextlib.closing(sqlite3.connect(app.state / "bailiwick.db", timeout=30)) as database, database:
        assert database.execute("UPDATE certificate SET renew_by_unix = ? WHERE ltrim(serial, '0') = ?", (renew_by, f"{leaf.serial_number:x}")).rowcount == 1
    start, end = window_of(account, leaf)
    assert end <= datetime.datetime.utcfromtimestamp(renew_by) and start < end


@pytest.mark.parametrize("text, status", [("", 400), ("x", 400), ("aYhba4dGQEHhs3uEe6CuLN4ByNQ", 400), ("aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE", 404),
                                          ("aYhba4dGQEHhs3uEe6CuLN4ByNQ.", 400), (".AIdlQyE", 400), ("a.b.c", 400), ("!!!.!!!", 400),
                                          ("A" * 3000 + ".AA", 400), ("aYhba4dGQEHhs3uEe6CuLN4ByNQ=.AIdlQyE=", 400)], ids=lambda value: str(value)[:20])
def test_renewal_information_that_is_not_there(account, text, status):
    reply = account.session.get(f"{account.urls['renewalInfo']}/{text}", timeout=30)
    assert reply.status_code in ({status, 404} if status == 400 else {status}), reply.text
    assert reply.status_code in (400, 404)
    if reply.headers["Content-Type"].startswith("application/problem+json"):
        assert_problem(reply, reply.status_code, "malformed")


def test_another_key_identifier_with_a_known_serial(account):
    leaf = issued(account, "keyid.svc.test")
    text = b64(b"\0" * 20) + "." + renewal_id(leaf).partition(".")[2]
    assert account.session.get(f"{account.urls['renewalInfo']}/{text}", timeout=30).status_code == 404


def test_an_order_that_replaces_a_certificate(account):
    leaf = issued(account, "replaced.svc.test", "kept.svc.test")
    url, order = account.order("replaced.svc.test", replaces=renewal_id(leaf))
    assert order["replaces"] == renewal_id(leaf) and account.post(url).json()["replaces"] == renewal_id(leaf)
    assert_problem(account.new_order("replaced.svc.test", replaces=renewal_id(leaf)), 409, "alreadyReplaced")
    account.issue(order=account.order("replaced.svc.test")[1])  # what good clients do next
    if order["status"] == "pending":
        account.prove(order)
    assert account.finalize(order).json()["status"] == "valid"
    assert_problem(account.new_order("replaced.svc.test", replaces=renewal_id(leaf)), 409, "alreadyReplaced")


def test_an_order_that_failed_replaces_nothing(account):
    leaf = issued(account, "failed.svc.test")
    _, order = account.order("failed.svc.test", replaces=renewal_id(leaf))
    account.post(order["authorizations"][0], {"status": "deactivated"})
    assert account.order("failed.svc.test", replaces=renewal_id(leaf))[1]["replaces"] == renewal_id(leaf)


def test_replaces_that_is_refused(app, account):
    leaf = issued(account, "mine.svc.test")
    for text in ("x", "a.b", renewal_id(leaf)[:-3], renewal_id(leaf) + "A" * 200, "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"):
        reply = account.new_order("mine.svc.test", replaces=text)
        assert_problem(reply, reply.status_code, "malformed")
        assert reply.status_code in (400, 404)
    assert_problem(account.new_order("mine.svc.test", replaces=7), 400, "malformed")
    assert_problem(account.new_order("else.svc.test", replaces=renewal_id(leaf)), 400, "malformed")
    other = Acme(app).register()
    reply = other.new_order("mine.svc.test", replaces=renewal_id(leaf))
    assert_problem(reply, reply.status_code, "unauthorized" if reply.status_code == 403 else "malformed")
    assert other.order("mine.svc.test")[1]["status"] == "pending", "without replaces it goes"


def test_renewals_in_their_window_do_not_count_as_orders(account):
    """RFC 9773 §5: priority for those who renew when they were asked to."""
    leaf = issued(account, "counted.svc.test")
    assert account.revoke(leaf).status_code == 200  # so that its window has come
    for _ in range(LIMIT - 1):
        account.order("counted.svc.test")
    problem = assert_problem(account.new_order("counted.svc.test"), 429, "rateLimited", "orders per account")
    assert "instance" in problem
    assert account.new_order("counted.svc.test", replaces=renewal_id(leaf)).status_code == 201
