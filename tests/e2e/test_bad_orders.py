"""Identifiers, other accounts' objects, CSRs, and finalize at the wrong moment."""
import itertools
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from appliance import OTHER_SECRET
from jws_client import ERROR, Acme, assert_problem, assert_sentence, b64, make_csr, names_of, split_chain

COUNTER = itertools.count()


@pytest.fixture(scope="module")
def account(app):
    return Acme(app).register()


@pytest.fixture(autouse=True)
def still_issues(app):
    yield
    Acme(app).register().issue(f"after{next(COUNTER)}.svc.test")


MALFORMED = ["", ".", "svc.test.", "-x.svc.test", "x-.svc.test", "a..svc.test", ".svc.test", "x_y.svc.test", "x y.svc.test",
             "*", "*.*.svc.test", "a.*.svc.test", "x*.svc.test", "**.svc.test", "*svc.test", "10.8.10.253", "[::1]", "fd00::1",
             "x.svc.test:443", "https://svc.test", "bücher.svc.test", "a\u0000b.svc.test", "l" * 64 + ".svc.test",
             ".".join(["abcdefgh"] * 40) + ".svc.test", "x/../svc.test", "\u202esvc.test"]


@pytest.mark.parametrize("name", MALFORMED, ids=ascii)
def test_an_identifier_that_is_no_name(app, account, name):
    reply = account.new_order(name)
    assert reply.status_code == 400 and reply.json()["type"] in (ERROR + "malformed", ERROR + "rejectedIdentifier"), reply.text
    assert_sentence(reply.json()["detail"])


@pytest.mark.parametrize("name", ["test", "example.org", "*.example.org", "notsvc.test", "svc.test.example.org", "*.test", "localhost",
                                  "acme.svc.test", "x.acme.svc.test", "*.acme.svc.test"])
def test_an_identifier_outside_the_zones(app, account, name):
    problem = assert_problem(account.new_order(name), 400, "rejectedIdentifier")
    assert name in problem["detail"] or name in str(problem.get("subproblems"))


def test_several_bad_identifiers_come_as_subproblems(app, account):
    reply = account.new_order("fine.svc.test", "a.example.org", "b.example.org")
    problem = reply.json()
    assert reply.status_code in (400, 403), problem
    assert problem["type"] in (ERROR + "rejectedIdentifier", ERROR + "compound", ERROR + "malformed")
    assert {one["identifier"]["value"] for one in problem["subproblems"]} == {"a.example.org", "b.example.org"}
    for one in problem["subproblems"]:
        assert one["type"] == ERROR + "rejectedIdentifier"
        assert_sentence(one["detail"])


def test_upper_case_is_lowered(app, account):
    _, order = account.order("UPPER.Svc.Test")
    assert order["identifiers"] == [{"type": "dns", "value": "upper.svc.test"}]


@pytest.mark.parametrize("payload", [
    {}, {"identifiers": []}, {"identifiers": "svc.test"}, {"identifiers": {}}, {"identifiers": [1]}, {"identifiers": [{}]},
    {"identifiers": [{"type": "dns"}]}, {"identifiers": [{"type": "dns", "value": 1}]}, {"identifiers": [{"value": "svc.test"}]},
    {"identifiers": [{"type": "dns", "value": "x.svc.test"}] * 2000}, [], "text", 7], ids=lambda payload: str(payload)[:60])
def test_an_order_payload_that_is_malformed(app, account, payload):
    assert_problem(account.post(account.urls["newOrder"], payload), 400, "malformed")


@pytest.mark.parametrize("kind", ["IP", "email", "permanent-identifier", "DNS"])
def test_an_identifier_type_that_is_not_offered(app, account, kind):
    reply = account.post(account.urls["newOrder"], {"identifiers": [{"type": kind, "value": "10.8.10.253"}]})
    assert_problem(reply, 400, "unsupportedIdentifier")


def test_a_name_twice_is_one_identifier_or_refused(app, account):
    reply = account.new_order("twice.svc.test", "twice.svc.test")
    if reply.status_code == 201:
        assert len(reply.json()["identifiers"]) == 1
    else:
        assert_problem(reply, 400, "malformed")


def test_the_reply_to_new_order_is_the_order(app, account):
    reply = account.new_order("same.svc.test", "*.same.svc.test")
    assert reply.json() == account.post(reply.headers["Location"]).json()
    assert len(reply.json()["authorizations"]) == 2


@pytest.mark.parametrize("contact", [["tel:+1"], ["mailto:"], ["mailto:a@b.test,c@d.test"], ["mailto:a@b.test?x=y"], "mailto:a@b.test", [1]], ids=str)
def test_a_contact_that_is_none(app, contact):
    stranger = Acme(app)
    reply = stranger.post(stranger.urls["newAccount"], {"contact": contact})
    assert reply.status_code == 400
    assert reply.json()["type"] in (ERROR + "unsupportedContact", ERROR + "invalidContact", ERROR + "malformed")
    assert_sentence(reply.json()["detail"])


def test_only_return_existing_for_a_stranger(app):
    stranger = Acme(app)
    assert_problem(stranger.post(stranger.urls["newAccount"], {"onlyReturnExisting": True}), 400, "accountDoesNotExist")


def test_another_accounts_objects(app, account):
    mine = Acme(app).register()
    order_url, order = mine.order("mine.svc.test")
    _, challenge = mine.challenge_of(order["authorizations"][0])
    mine.prove(order)
    certificate = mine.finalize(order).json()["certificate"]
    for url in (order_url, order["authorizations"][0], certificate, mine.kid):
        problem = assert_problem(account.post(url), 403, "unauthorized")
        assert "mine.svc.test" not in str(problem)
    assert_problem(account.post(challenge["url"], {}), 403, "unauthorized")
    assert_problem(account.finalize(order), 403, "unauthorized")
    assert_problem(account.post(mine.kid, {"status": "deactivated"}), 403, "unauthorized")
    assert mine.post(order_url).json()["status"] == "valid"


def test_unknown_ids_are_404(app, account):
    order_url, order = account.order("unknown.svc.test")
    for url, payload in ((order_url, None), (order["authorizations"][0], None), (order["finalize"], {"csr": b64(make_csr(["unknown.svc.test"]))})):
        head, mark, tail = url.partition("/acme/")
        parts = tail.split("/")
        parts[1] = "A" * len(parts[1])
        assert_problem(account.post(head + mark + "/".join(parts), payload), 404, "malformed")


def ready_order(account, *names):
    url, order = account.order(*names)
    account.prove(order)
    return url, order


def broken_signature(names):
    der = bytearray(make_csr(names))
    der[-5] ^= 0xff
    return bytes(der)


def with_extension(extension, critical):
    return lambda names, account: make_csr(names, extensions=[(extension, critical)])


BAD_CSRS = {
    "empty": lambda names, account: b"",
    "garbage": lambda names, account: b"\x30\x82\xff\xff" + b"\0" * 50,
    "truncated": lambda names, account: make_csr(names)[:-20],
    "trailing bytes": lambda names, account: make_csr(names) + b"\0\0\0",
    "other name": lambda names, account: make_csr(["else.svc.test"]),
    "one name more": lambda names, account: make_csr([*names, "more.svc.test"]),
    "one name less": lambda names, account: make_csr(list(names)[1:]),
    "no names": lambda names, account: make_csr([]),
    "other common name": lambda names, account: make_csr(names, common_name="else.svc.test"),
    "bad signature": lambda names, account: broken_signature(names),
    "weak rsa key": lambda names, account: make_csr(names, rsa.generate_private_key(65537, 1024)),
    "small exponent": lambda names, account: make_csr(names, rsa.generate_private_key(3, 2048)),
    "other curve": lambda names, account: make_csr(names, ec.generate_private_key(ec.SECP256K1())),
    "small curve": lambda names, account: make_csr(names, ec.generate_private_key(ec.SECP192R1())),
    "sha1": lambda names, account: make_csr(names, rsa.generate_private_key(65537, 2048), digest=hashes.SHA1()),
    "the account's key": lambda names, account: make_csr(names, account.key.private),
    "ca true": with_extension(x509.BasicConstraints(True, None), True),
}


@pytest.mark.parametrize("make", BAD_CSRS.values(), ids=BAD_CSRS.keys())
def test_a_csr_that_is_not_the_orders(app, account, make):
    names = ("csr.svc.test", "*.csr.svc.test")
    url, order = ready_order(account, *names)
    reply = account.finalize(order, csr=make(names, account))
    assert reply.status_code in (400, 403) and reply.json()["type"] in (ERROR + "badCSR", ERROR + "malformed", ERROR + "badPublicKey",
                                                                        ERROR + "unauthorized"), reply.text
    assert_sentence(reply.json()["detail"])
    assert account.post(url).json()["status"] == "ready", "a refused CSR must leave the order ready"
    done = account.finalize(order)
    assert done.status_code == 200 and done.json()["status"] == "valid", done.text


@pytest.mark.parametrize("payload", [{}, {"csr": 1}, {"csr": None}, {"csr": "!!!"}, [], {"csr": "A" * 100_000}], ids=lambda value: str(value)[:30])
def test_a_finalize_payload_that_is_malformed(app, account, payload):
    _, order = ready_order(account, "payload.svc.test")
    reply = account.post(order["finalize"], payload)
    assert reply.status_code in (400, 413) and reply.json()["type"] in (ERROR + "badCSR", ERROR + "malformed"), reply.text
    assert_sentence(reply.json()["detail"])


def test_a_csr_cannot_ask_for_more_usages(app, account):
    _, order = ready_order(account, "usage.svc.test")
    wanted = [(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING, ExtendedKeyUsageOID.CLIENT_AUTH]), False),
              (x509.KeyUsage(True, False, False, False, False, True, True, False, False), True)]
    reply = account.finalize(order, csr=make_csr(["usage.svc.test"], extensions=wanted, common_name="usage.svc.test"))
    if reply.status_code != 200:
        assert_problem(reply, 400, "badCSR")
        return
    leaf = split_chain(account.post(reply.json()["certificate"]).text)[0]
    assert list(leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [ExtendedKeyUsageOID.SERVER_AUTH]
    usage = leaf.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical and usage.value == x509.KeyUsage(True, False, False, False, False, False, False, False, False)
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME) == []


def test_an_ed25519_certificate_key_is_refused_or_works(app, account):
    _, order = ready_order(account, "ed.svc.test")
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("ed.svc.test")]), False)
    request = builder.sign(ed25519.Ed25519PrivateKey.generate(), None)
    reply = account.finalize(order, csr=request.public_bytes(Encoding.DER))
    if reply.status_code != 200:
        assert_problem(reply, 400, "badCSR")


def test_finalize_before_ready(app, account):
    url, order = account.order("early.svc.test")
    assert_problem(account.finalize(order), 403, "orderNotReady")
    assert account.post(url).json()["status"] == "pending"


def test_finalize_again(app, account):
    _, order = ready_order(account, "again.svc.test")
    csr = make_csr(["again.svc.test"])
    first = account.finalize(order, csr=csr)
    second = account.finalize(order, csr=csr)
    assert (first.status_code, second.status_code) == (200, 200)
    assert first.json()["certificate"] == second.json()["certificate"]
    assert_problem(account.finalize(order, csr=make_csr(["again.svc.test"])), 403, "orderNotReady")


def test_finalize_at_the_same_moment_gives_one_certificate(app, account):
    _, order = ready_order(account, "moment.svc.test")
    csrs = [make_csr(["moment.svc.test"]) for _ in range(2)] * 4
    workers = []
    for _ in csrs:
        worker = Acme(app, key=account.key)
        worker.kid, worker.nonce = account.kid, worker.fresh_nonce()
        workers.append(worker)
    replies, barrier = [], threading.Barrier(len(csrs))

    def finalize(worker, csr):
        barrier.wait()
        replies.append(worker.finalize(order, csr=csr))

    threads = [threading.Thread(target=finalize, args=pair) for pair in zip(workers, csrs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    good = [reply for reply in replies if reply.status_code == 200]
    assert len(good) >= 1 and len(replies) == len(csrs)
    urls = {reply.json().get("certificate") for reply in good if reply.json()["status"] == "valid"}
    assert len(urls) == 1, urls
    for reply in replies:
        if reply.status_code != 200:
            assert_problem(reply, 403, "orderNotReady")


def test_a_value_for_the_apex_does_not_prove_the_wildcard_for_another_client(app, account):
    _, order = account.order("*.other.svc.test")
    authorization, challenge = account.challenge_of(order["authorizations"][0])
    assert account.publish(authorization, challenge, "other", OTHER_SECRET).status_code in (200, 403)
    answer = account.post(challenge["url"], {})
    assert answer.json()["status"] != "valid"


def test_a_challenge_payload_that_is_malformed(app, account):
    _, order = account.order("challenge.svc.test")
    _, challenge = account.challenge_of(order["authorizations"][0])
    for payload in ([], "x", 5):
        assert_problem(account.post(challenge["url"], payload), 400, "malformed")


def test_a_deactivated_account_may_nothing(app):
    gone = Acme(app).register()
    assert gone.post(gone.kid, {"status": "deactivated"}).json()["status"] == "deactivated"
    assert_problem(gone.new_order("gone.svc.test"), 401, "unauthorized")
