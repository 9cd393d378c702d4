"""RFC 8555 §7.1.3, §7.1.4, §7.4 to §7.6, §9.1 and §11.1 on the wire: orders, authorizations, certificates, revocation, names and keys."""
import datetime
import itertools
import re

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from appliance import Appliance
from jws_client import ERROR, Acme, Key, assert_problem, b64, make_csr, names_of, split_chain

COUNTER = itertools.count()
RFC3339 = "%Y-%m-%dT%H:%M:%SZ"
# RFC 7468 §3 stricttextualmsg: lines of 64, the last one shorter, nothing else.
STRICT_PEM = re.compile(r"(-----BEGIN CERTIFICATE-----\n([A-Za-z0-9+/]{64}\n)*[A-Za-z0-9+/]{1,64}={0,2}\n-----END CERTIFICATE-----\n)+")
DAY = datetime.timedelta(days=1)


@pytest.fixture(scope="module")
def account(app):
    return Acme(app).register()


@pytest.fixture(scope="module")
def reuser(app, tmp_path_factory):  # pylint: disable=unused-argument
    """An account at an appliance that reuses authorizations, as is the default."""
    listen = {"https": ["127.0.0.1:8443"], "http": ["127.0.0.1:8080"], "dns": ["127.0.0.1:8053"]}
    one = Appliance(tmp_path_factory.mktemp("reuser"), listen=listen, public_url="https://localhost:8443", acme={})
    try:
        yield Acme(one.start()).register()
        one.stop()
    finally:
        one.discard()


def fresh_name():
    return f"o{next(COUNTER)}.svc.test"


def ready(account, *names, **more):  # pylint: disable=redefined-outer-name
    url, order = account.order(*names, **more)
    account.prove(order)
    return url, order


def issued(account, *names, key=None):  # pylint: disable=redefined-outer-name
    """A certificate (and its chain as text) for the names, with the key given."""
    _, order = ready(account, *names)
    done = account.finalize(order, csr=make_csr(names, key)).json()
    text = account.post(done["certificate"]).text
    return split_chain(text)[0], text


def certificate_key(rsa_bits=None):
    """An account-like key whose private part can be a certificate's, to sign a revocation with."""
    return Key("RS256", rsa_bits) if rsa_bits else Key("ES256")


def as_bytes(certificate):
    return b64(certificate.public_bytes(Encoding.DER))


# --- §7.1.3, §7.1.4 ------------------------------------------------------------------------------------------------------------------
def test_an_order_through_its_life(account):
    name = fresh_name()
    url, order = account.order(name, f"*.{name}")
    seen = [account.post(url).json()]
    account.prove(order)
    seen.append(account.post(url).json())
    account.finalize(order)
    seen.append(account.post(url).json())
    assert [one["status"] for one in seen] == ["pending", "ready", "valid"]
    for one in seen:
        assert datetime.datetime.strptime(one["expires"], RFC3339) > datetime.datetime.utcnow()
        assert one["identifiers"] == order["identifiers"] and one["authorizations"] == order["authorizations"]
    assert len(order["authorizations"]) == 2


def test_an_authorization_has_no_wildcard_name_but_says_that_it_is_one(account):
    name = fresh_name()
    _, order = account.order(name, f"*.{name}")
    for _ in range(2):
        found = [account.post(url).json() for url in order["authorizations"]]
        assert [one["identifier"] for one in found] == [{"type": "dns", "value": name}] * 2
        assert sorted(one.get("wildcard", "absent") is True for one in found) == [False, True]
        assert [one["wildcard"] for one in found if "wildcard" in one] == [True]
        account.prove(order)
    assert {one["status"] for one in found} == {"valid"}
    for one in found:
        assert datetime.datetime.strptime(one["expires"], RFC3339) > datetime.datetime.utcnow()


def test_authorizations_of_earlier_orders_stand_in_the_later_one(reuser):
    name = fresh_name()
    _, first = ready(reuser, name)
    before = reuser.post(reuser.urls["newAuthz"], {"identifier": {"type": "dns", "value": "pre-" + name}})
    authorization = before.json()
    challenge = next(one for one in authorization["challenges"] if one["type"] == "dns-01")
    assert reuser.publish(authorization, challenge).status_code == 200
    assert reuser.post(challenge["url"], {}).json()["status"] == "valid"
    reply = reuser.new_order(name, "pre-" + name)
    assert reply.json()["status"] == "ready"
    assert set(reply.json()["authorizations"]) == {first["authorizations"][0], before.headers["Location"]}


@pytest.mark.parametrize("label", ["xn--b", "xn--999999999999999b", "xn--a-9999999"])
def test_an_a_label_that_decodes_to_nothing_is_refused(account, label):
    for name in (f"{label}.svc.test", f"www.{label}.svc.test", f"*.{label}.svc.test"):
        assert_problem(account.new_order(name), 400, "malformed", "xn--")
    assert_problem(account.post(account.urls["newAuthz"], {"identifier": {"type": "dns", "value": f"{label}.svc.test"}}), 400, "malformed")


def test_an_a_label_stays_as_it_is(account):
    name = f"xn--bcher-kva.{fresh_name()}"
    _, order = account.order(name)
    assert account.post(order["authorizations"][0]).json()["identifier"]["value"] == name
    account.prove(order)
    done = account.finalize(order).json()
    assert names_of(split_chain(account.post(done["certificate"]).text)[0]) == [name]


# --- §7.4 ----------------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("dates", [
    {"notBefore": "2001-01-01T00:00:00Z"}, {"notAfter": "2001-01-01T00:00:00Z"}, {"notAfter": "2199-01-01T00:00:00Z"}, {"notBefore": "tomorrow"},
    {"notBefore": 17}], ids=str)
def test_an_order_that_cannot_be_fulfilled_as_it_stands_is_refused(account, dates):
    assert_problem(account.new_order(fresh_name(), **dates), 400, "malformed")


def test_the_certificate_is_what_was_ordered(account):
    now = datetime.datetime.utcnow().replace(microsecond=0)
    start, end = now + datetime.timedelta(hours=2), now + 3 * DAY
    name = fresh_name()
    _, order = ready(account, name, f"*.{name}", notBefore=start.strftime(RFC3339), notAfter=end.strftime(RFC3339))
    assert (order["notBefore"], order["notAfter"]) == (start.strftime(RFC3339), end.strftime(RFC3339))
    leaf = split_chain(account.post(account.finalize(order).json()["certificate"]).text)[0]
    assert (leaf.not_valid_before, leaf.not_valid_after) == (start, end)
    assert names_of(leaf) == sorted([name, f"*.{name}"])
    assert not list(leaf.subject)


def test_a_csr_may_name_them_in_the_common_name_alone(account):
    name = fresh_name()
    _, order = ready(account, name)
    assert account.finalize(order, csr=make_csr([], common_name=name)).json()["status"] == "valid"


def test_a_bad_csr_says_so_and_leaves_the_order_ready(account):
    name = fresh_name()
    url, order = ready(account, name)
    for csr in (make_csr(["else.svc.test"]), make_csr([name, "more.svc.test"]), make_csr([]), b"junk"):
        assert_problem(account.finalize(order, csr=csr), 400, "badCSR")
        assert account.post(url).json()["status"] == "ready"
    assert_problem(account.post(order["finalize"], {}), 400, "malformed")
    assert account.finalize(order).json()["status"] == "valid"


def test_finalize_only_when_ready(account):
    url, order = account.order(fresh_name())
    assert_problem(account.finalize(order), 403, "orderNotReady")
    account.post(order["authorizations"][0], {"status": "deactivated"})
    assert account.post(url).json()["status"] == "invalid"
    assert_problem(account.finalize(order), 403, "orderNotReady")
    _, order = ready(account, fresh_name())
    account.finalize(order)
    assert_problem(account.finalize(order), 403, "orderNotReady")


# --- §7.4.1 --------------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("identifier, status, kind", [
    ({"type": "dns", "value": "example.org"}, 403, "rejectedIdentifier"), ({"type": "dns", "value": "x.acme.svc.test"}, 403, "rejectedIdentifier"),
    ({"type": "email", "value": "a@svc.test"}, 403, "unsupportedIdentifier"), ({"type": "dns", "value": "*.svc.test"}, 400, "malformed"),
    ({"type": "dns"}, 400, "malformed"), (None, 400, "malformed")], ids=str)
def test_an_authorization_beforehand_that_is_refused(account, identifier, status, kind):
    assert_problem(account.post(account.urls["newAuthz"], {"identifier": identifier}), status, kind)


def test_an_authorization_beforehand(account):
    name = fresh_name()
    reply = account.post(account.urls["newAuthz"], {"identifier": {"type": "dns", "value": name}})
    assert reply.status_code == 201 and reply.json()["status"] == "pending" and reply.json()["identifier"] == {"type": "dns", "value": name}
    assert {one["status"] for one in reply.json()["challenges"]} == {"pending"}
    assert account.post(reply.headers["Location"]).json() == reply.json()


# --- §7.4.2, §9.1 --------------------------------------------------------------------------------------------------------------------
def test_a_certificate_is_a_strict_pem_chain(account):
    _, text = issued(account, fresh_name())
    assert STRICT_PEM.fullmatch(text), text
    chain = split_chain(text)
    assert len(chain) >= 2
    assert not chain[0].extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    for one, above in zip(chain, chain[1:]):
        assert one.issuer == above.subject and above.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        above.public_key().verify(one.signature, one.tbs_certificate_bytes, ec.ECDSA(one.signature_hash_algorithm))


@pytest.mark.parametrize("accept", ["application/pem-certificate-chain", "application/pkix-cert", "application/pkcs7-mime", "text/plain"])
def test_whatever_is_asked_for_the_chain_is_pem(account, accept):
    _, order = ready(account, fresh_name())
    url = account.finalize(order).json()["certificate"]
    reply = account.send(url, account.envelope(url, None), accept=accept)
    assert reply.status_code == 200 and reply.headers["Content-Type"] == "application/pem-certificate-chain"
    assert STRICT_PEM.fullmatch(reply.text)


# --- §7.5 ----------------------------------------------------------------------------------------------------------------------------
def test_members_of_a_response_that_mean_nothing_are_ignored(account):
    _, order = account.order(fresh_name())
    authorization, challenge = account.challenge_of(order["authorizations"][0])
    account.publish(authorization, challenge)
    answer = account.post(challenge["url"], {"keyAuthorization": "x", "status": "invalid", "token": "y", "deep": {"a": [1]}})
    assert answer.status_code == 200 and answer.json()["status"] == "valid" and answer.json()["token"] == challenge["token"]


@pytest.mark.parametrize("payload", [[], "x", 5, b"{", b"null", b"\xff"], ids=repr)
def test_a_response_that_is_no_object_is_an_error(account, payload):
    _, order = account.order(fresh_name())
    _, challenge = account.challenge_of(order["authorizations"][0])
    assert_problem(account.post(challenge["url"], payload), 400, "malformed")
    assert account.post(challenge["url"]).json()["status"] == "pending"


def test_polling_an_authorization_while_it_is_validated(account):
    _, order = account.order(fresh_name())
    url = order["authorizations"][0]
    authorization, challenge = account.challenge_of(url)
    answer = account.post(challenge["url"], {})
    assert answer.json()["status"] == "processing" and int(answer.headers["Retry-After"]) >= 1
    poll = account.post(url)
    assert poll.status_code == 200 and poll.json()["status"] == "pending" and int(poll.headers["Retry-After"]) >= 1
    assert int(account.post(challenge["url"]).headers["Retry-After"]) >= 1
    account.publish(authorization, challenge)
    done = account.wait(url, ("valid", "invalid"))
    assert done["status"] == "valid" and done["expires"]
    assert [one["type"] for one in done["challenges"]] == ["dns-01"]
    assert done["challenges"][0]["validated"] and "error" not in done["challenges"][0]


def test_a_challenge_that_failed_stays_and_says_why(account):
    url, order = account.order(fresh_name())
    _, challenge = account.challenge_of(order["authorizations"][0])
    account.post(challenge["url"], {})
    failed = account.wait(order["authorizations"][0], ("valid", "invalid"))
    assert failed["status"] == "invalid" and account.post(url).json()["status"] == "invalid"
    assert [(one["status"], one["url"]) for one in failed["challenges"]] == [("invalid", challenge["url"])]
    assert failed["challenges"][0]["error"]["type"].startswith(ERROR) and "validated" not in failed["challenges"][0]
    assert account.post(challenge["url"]).json() == failed["challenges"][0]


def test_an_authorization_given_back_is_worth_nothing(reuser):
    name = fresh_name()
    url, order = ready(reuser, name)
    authorization = order["authorizations"][0]
    assert_problem(Acme(reuser.app).register().post(authorization, {"status": "deactivated"}), 403, "unauthorized")
    reply = reuser.post(authorization, {"status": "deactivated"})
    assert reply.status_code == 200 and reply.json()["status"] == "deactivated"
    assert reuser.post(url).json()["status"] == "invalid"
    assert_problem(reuser.finalize(order), 403, "orderNotReady")
    again = reuser.new_order(name).json()
    assert again["status"] == "pending" and authorization not in again["authorizations"]


# --- §7.6 ----------------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("reason", [2, 6, 7, 8, 9, 10, 11, -1, 99])
def test_a_reason_that_is_not_the_clients_to_give(account, reason):
    leaf, _ = issued(account, fresh_name())
    assert_problem(account.revoke(leaf, reason=reason), 400, "badRevocationReason", "0 (unspecified)", "1 (keyCompromise)", "4 (superseded)")
    assert account.revoke(leaf, reason=0).status_code == 200


def test_who_may_revoke(app, account):
    name = fresh_name()
    names = (name, f"*.{name}")
    by_owner, by_key, by_holder = certificate_key(), certificate_key(2048), certificate_key()
    leaves = {key: issued(account, *names, key=key.private)[0] for key in (by_owner, by_key, by_holder)}
    stranger = Acme(app).register()
    assert_problem(stranger.revoke(leaves[by_holder]), 403, "unauthorized")
    ready(stranger, name)
    assert_problem(stranger.revoke(leaves[by_holder]), 403, "unauthorized")
    assert_problem(Acme(app).revoke(leaves[by_key]), 403, "unauthorized")
    ready(stranger, f"*.{name}")
    assert stranger.revoke(leaves[by_holder]).status_code == 200
    reply = account.revoke(leaves[by_owner], reason=4)
    assert reply.status_code == 200 and reply.content == b""
    assert Acme(app, key=by_key).revoke(leaves[by_key], reason=1).status_code == 200
    for leaf in leaves.values():
        assert_problem(account.revoke(leaf), 400, "alreadyRevoked")


# --- §11.1 ---------------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("alg", ["ES256", "ES384", "ES512", "RS256"])
def test_no_accounts_key_gets_a_certificate(app, account, alg):
    """Neither the key of the account that asks nor that of any other, deactivated ones included."""
    other = Acme(app, alg).register()
    gone = Acme(app, alg).register()
    gone.post(gone.kid, {"status": "deactivated"})
    own = Acme(app, alg).register()
    for asks, key in ((account, other.key), (account, gone.key), (own, own.key)):
        name = fresh_name()
        url, order = ready(asks, name)
        assert_problem(asks.finalize(order, csr=make_csr([name], key.private)), 400, "badPublicKey", "account")
        assert asks.post(url).json()["status"] == "ready"
        assert asks.finalize(order).json()["status"] == "valid"


def test_one_key_is_one_account(app):
    key = Key()
    first, second = Acme(app, key=key).register(), Acme(app, key=key).register()
    assert first.kid == second.kid
    other = Acme(app).register()
    assert_problem(other.key_change(key), 409, "malformed")


def test_without_a_second_issuer_there_is_no_alternate(account):
    _, order = ready(account, fresh_name())
    url = account.finalize(order).json()["certificate"]
    assert "alternate" not in account.post(url).headers["Link"]
    assert_problem(account.post(url + "/1"), 404, "malformed")
