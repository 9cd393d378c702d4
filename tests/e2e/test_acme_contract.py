"""What ACME clients in the field rely on beyond the letter of RFC 8555: one test per line of the contract, with nothing but the wire."""
import datetime

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from appliance import running
from jws_client import Acme, Key, assert_problem, assert_sentence, make_csr, renewal_id, split_chain
from namespace import INGRESS
from tools import ask


@pytest.fixture(scope="module")
def app(resolv_conf, tmp_path_factory):
    with running(tmp_path_factory.mktemp("appliance")) as one:
        yield one


@pytest.fixture
def account(app):
    return Acme(app).register()


def issued(account, name, **more):
    return split_chain(account.issue(order=account.order(name, **more)[1]))[0]


def test_the_reply_to_new_order_equals_what_is_read_later(account):
    for more in ({}, {"profile": "short"}, {"notAfter": "2099-01-01T00:00:00Z", "profile": None}):
        reply = account.new_order("equal.svc.test", "*.equal.svc.test", **more)
        if reply.status_code == 201:
            assert account.post(reply.headers["Location"]).json() == reply.json()


def test_the_account_object_carries_orders_and_unknown_members_are_ignored(app):
    plain, odd, empty = Acme(app), Acme(app), Acme(app)
    objects = []
    for acme, payload in ((plain, {}), (odd, {"unknown": [{"deep": 1}], "contact": None}), (empty, {"contact": []})):
        reply = acme.post(acme.urls["newAccount"], payload)
        assert reply.json()["orders"] == reply.headers["Location"] + "/orders"
        objects.append({name: value for name, value in reply.json().items() if name != "orders"})
    assert objects[0] == objects[1] == objects[2]
    plain.register()
    same = [plain.order("odd.svc.test", **more)[1] for more in ({}, {"unknown": 1, "profile": "", "notBefore": None, "replaces": ""})]
    assert set(same[0]) == set(same[1])


def test_leaves(account):
    """No CN even when the CSR has one; digitalSignature only; the dates that were asked for, exactly."""
    start = datetime.datetime.utcnow().replace(microsecond=0) + datetime.timedelta(minutes=5)
    end = start + datetime.timedelta(days=1)
    _, order = account.order("leaf.svc.test", notBefore=start.isoformat() + "Z", notAfter=end.isoformat() + "Z")
    account.prove(order)
    done = account.finalize(order, csr=make_csr(["leaf.svc.test"], common_name="leaf.svc.test")).json()
    leaf = split_chain(account.post(done["certificate"]).text)[0]
    assert leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME) == []
    assert leaf.extensions.get_extension_for_class(x509.KeyUsage).value == x509.KeyUsage(True, False, False, False, False, False, False, False, False)
    assert (leaf.not_valid_before, leaf.not_valid_after) == (start, end)


def test_what_is_gone_is_gone(app, account):
    """A second revocation, the key before keyChange, a deactivated account."""
    leaf = issued(account, "gone.svc.test")
    assert account.revoke(leaf).status_code == 200
    assert_problem(account.revoke(leaf), 400, "alreadyRevoked")
    old, new = account.key, Key()
    assert account.key_change(new).status_code == 200
    before = Acme(app, key=old)
    assert_problem(before.post(before.urls["newAccount"], {"onlyReturnExisting": True}), 400, "accountDoesNotExist")
    account.key = new
    account.post(account.kid, {"status": "deactivated"})
    for url in (account.kid, account.urls["newOrder"], account.urls["revokeCert"]):
        reply = account.post(url, {})
        assert_problem(reply, reply.status_code, "unauthorized")


def test_authorizations_that_end_take_their_order_along_and_say_why(account):
    url, order = account.order("ends.svc.test")
    account.post(order["authorizations"][0], {"status": "deactivated"})
    assert account.post(url).json()["status"] == "invalid"
    url, order = account.order("fails.svc.test")
    _, challenge = account.challenge_of(order["authorizations"][0], "http-01")  # the ingress has no web server
    account.post(challenge["url"], {})
    failed = account.wait(order["authorizations"][0], ("valid", "invalid"))
    assert failed["status"] == "invalid" and account.post(url).json()["status"] == "invalid"
    (one,) = failed["challenges"]
    assert one["type"] == "http-01" and one["error"]["type"].startswith("urn:ietf:params:acme:error:")
    assert_sentence(one["error"]["detail"])
    assert INGRESS in one["error"]["detail"]


def test_renewal_information_and_replaces(account):
    leaf = issued(account, "renew.svc.test")
    url = f"{account.urls['renewalInfo']}/{renewal_id(leaf)}"
    before = account.session.get(url, timeout=30)
    assert int(before.headers["Retry-After"]) > 0
    account.order("renew.svc.test", replaces=renewal_id(leaf))
    assert_problem(account.new_order("renew.svc.test", replaces=renewal_id(leaf)), 409, "alreadyReplaced")
    issued(account, "renew.svc.test")
    account.revoke(leaf)
    after = account.session.get(url, timeout=30)
    assert int(after.headers["Retry-After"]) > 0
    assert after.json()["suggestedWindow"]["end"] < datetime.datetime.utcnow().isoformat() < before.json()["suggestedWindow"]["start"]


def test_three_polls_are_enough(account):
    """Challenge and finalize are decided in their replies: whoever polls three times at three seconds sees the end at the first."""
    _, order = account.order("polls.svc.test", "*.polls.svc.test")
    for url in order["authorizations"]:
        authorization, challenge = account.challenge_of(url)
        account.publish(authorization, challenge)
        assert account.post(challenge["url"], {}).json()["status"] == "valid"
        assert account.post(url).json()["status"] == "valid"
    done = account.finalize(order)
    assert done.json()["status"] == "valid" and "Retry-After" not in done.headers, "never processing, for which Go's client waits a second"


def test_certificates_live_ninety_days(account):
    leaf = issued(account, "ninety.svc.test")
    assert leaf.not_valid_after - leaf.not_valid_before == datetime.timedelta(days=90, seconds=-1)


def test_a_nonce_lasts_for_those_that_do_not_ask_again(account):
    """dehydrated 0.7 retries no badNonce on revocation: the nonce of the reply before is good for it, however much happened meanwhile."""
    leaf = issued(account, "nonce.svc.test")
    kept = account.fresh_nonce()
    for _ in range(300):
        account.fresh_nonce()
    account.nonce = kept
    assert account.revoke(leaf).status_code == 200


def test_the_ingress_answer_survives_a_challenge(account):
    """RFC 4592: `_acme-challenge.x` hides the wildcard for x where a zone is written by hand."""
    _, order = account.order("hidden.svc.test")
    authorization, challenge = account.challenge_of(order["authorizations"][0])
    account.publish(authorization, challenge)
    assert ask("_acme-challenge.hidden.svc.test", "TXT").answer
    for name in ("hidden.svc.test", "below.hidden.svc.test"):
        assert [rdata.address for rdata in ask(name, "A").answer[0]] == [INGRESS]


# --- the URLs that clients are given ----------------------------------------------------------------------------------------


def directory_at(account, host):
    reply = account.session.get(f"{account.app.url}/acme/directory", headers={"Host": host}, timeout=30)
    assert reply.status_code == 200
    return reply.json()


@pytest.mark.parametrize("host", ["ca.svc.test", "CA.SVC.TEST", "localhost", "10.8.10.253", "ca.svc.test:443", "ca.svc.test:8443", "localhost:4443"])
def test_urls_follow_a_host_that_is_ours(account, host):
    """Behind a published port or a proxy that keeps Host: what the client is told is where it came to."""
    urls = directory_at(account, host)
    assert urls["newOrder"].lower() in (f"https://{host.lower()}/acme/new-order", f"https://{host.lower().removesuffix(':443')}/acme/new-order")
    other = Acme(account.app, key=account.key)
    reply = other.session.post(f"{account.app.url}/acme/new-account", headers={"Host": host, "Content-Type": "application/jose+json"}, timeout=30,
                               json=other.envelope(urls["newAccount"], {"onlyReturnExisting": True}))
    assert reply.status_code == 200, reply.text
    assert reply.headers["Location"].startswith(urls["newOrder"].removesuffix("/acme/new-order"))
    assert reply.headers["Location"].endswith(account.kid.rpartition("/")[2]), "one account, whatever it is called"


@pytest.mark.parametrize("host", ["evil.test", "ca.svc.test.evil.test", "ca.svc.test@evil.test", "[::1", "ca.svc.test:x", "", "a" * 300, "10.8.10.254"])
def test_urls_never_follow_a_host_that_is_not(account, host):
    reply = account.session.get(f"{account.app.url}/acme/directory", headers={"Host": host}, timeout=30)
    assert reply.status_code in (200, 400), reply.text
    if reply.status_code == 200:
        assert reply.json()["newOrder"] == "https://ca.svc.test/acme/new-order"
        assert "evil" not in str(dict(reply.headers))
