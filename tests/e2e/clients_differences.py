"""Requests that are compared between servers: one function per case, each returning what the server answered in few words.

A function gets a Bench and returns a requests.Response (or a text made of several). Nothing here judges: test_pebble_differences.py does.
"""
import base64
import hashlib
import hmac
import http.server
import json
import threading

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import DNSName, SubjectAlternativeName

from jws_client import ERROR, Acme, Key, b64, httpreq, make_csr, split_chain
from namespace import INGRESS
from pebble import self_signed

CASES = {}
EAB_CASES = {}


def case(function):
    CASES[function.__name__] = function
    return function


def eab_case(function):
    EAB_CASES[function.__name__] = function
    return function


def words(reply):
    """Status code, then the problem type or the object's status: "400 badNonce", "201 pending"."""
    if isinstance(reply, str):
        return reply
    try:
        body = reply.json()
    except ValueError:
        body = {}
    body = body if isinstance(body, dict) else {}
    kind = body.get("type", "")
    if reply.status_code >= 400:
        rest = kind[len(ERROR):] if kind.startswith(ERROR) else kind
    else:
        rest = body.get("status", "")
    return f"{reply.status_code} {rest}".strip()


class Responder:
    """http-01 for every name: answers the key authorizations it was told."""

    def __init__(self):
        answers = self.answers = {}

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):  # pylint: disable=invalid-name
                body = answers.get(self.path.rpartition("/")[2], "").encode()
                self.send_response(200 if body else 404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *unused):  # pylint: disable=arguments-differ
                pass

        self.server = http.server.ThreadingHTTPServer((INGRESS, 80), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *unused):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def chosen(authorization):
    """http-01, which both servers have."""
    found = {one["type"]: one for one in authorization["challenges"]}
    return found.get("http-01") or found["dns-01"]


class Visitor:
    """Somebody without an account."""

    def __init__(self, server):
        self.server = server

    def connect(self, **more):
        return Acme(self.server, directory_path=self.server.directory_path, **more)


class Bench(Visitor):
    """A responder for the server's validations, one account that is used for whatever leaves it as it is, and one certificate."""

    def __init__(self, server, responder):
        super().__init__(server)
        self.responder = responder
        self.number = 0
        self.acme = self.account()
        _, self.order, self.certificate, _ = self.issue(self.acme)

    def account(self, **more):
        return self.connect(**more).register(contact=["mailto:admin@svc.test"])

    def fresh_name(self):
        self.number += 1
        return f"d{self.number}.svc.test"

    def pending(self, acme):
        """A new order: its URL, the object, its authorization's URL, its http-01 challenge."""
        url, order = acme.order(self.fresh_name())
        authorization = acme.post(order["authorizations"][0]).json()
        return url, order, order["authorizations"][0], chosen(authorization)

    def publish(self, acme, order, challenge):
        if challenge["type"] == "http-01":
            self.responder.answers[challenge["token"]] = f"{challenge['token']}.{acme.key.thumbprint()}"
        else:
            name = order["identifiers"][0]["value"]
            assert httpreq(self.server, "present", f"_acme-challenge.{name}.", acme.digest(challenge)).status_code == 200

    def ready(self, acme):
        """A proved order: its URL, the object, its authorization's URL, its challenge."""
        url, order, authorization, challenge = self.pending(acme)
        self.publish(acme, order, challenge)
        acme.post(challenge["url"], {})
        assert acme.wait(authorization, ("valid", "invalid"))["status"] == "valid"
        return url, order, authorization, challenge

    def invalid(self, acme):
        """An order whose proof failed: the same four."""
        url, order, authorization, challenge = self.pending(acme)
        acme.post(challenge["url"], {})
        assert acme.wait(authorization, ("valid", "invalid"))["status"] == "invalid"
        return url, order, authorization, challenge

    def issue(self, acme):
        """The name, the order as it is then, the certificate, its key."""
        url, order, _, _ = self.ready(acme)
        name, key = order["identifiers"][0]["value"], ec.generate_private_key(ec.SECP256R1())
        assert acme.finalize(order, csr=make_csr([name], key)).status_code == 200
        done = acme.wait(url, ("valid", "invalid"))
        return name, done, split_chain(acme.post(done["certificate"]).text)[0], key


def encoded(certificate):
    return b64(certificate.public_bytes(serialization.Encoding.DER))


def revoke(acme, certificate, **more):
    return acme.post(acme.urls["revokeCert"], {"certificate": encoded(certificate), **more})


# --- nonces, methods, envelopes (RFC 8555 §6) ----------------------------------------------------------------------------------------
@case
def nonce_by_head(bench):
    return bench.acme.session.head(bench.acme.urls["newNonce"], timeout=30)


@case
def nonce_by_get(bench):
    return bench.acme.session.get(bench.acme.urls["newNonce"], timeout=30)


@case
def nonce_by_post_as_get(bench):
    return bench.acme.post(bench.acme.urls["newNonce"])


@case
def directory_by_post_as_get(bench):
    return bench.acme.post(bench.server.directory_url)


@case
def get_of_an_order(bench):
    return bench.acme.session.get(bench.order["finalize"], timeout=30)


@case
def get_of_new_account(bench):
    return bench.acme.session.get(bench.acme.urls["newAccount"], timeout=30)


@case
def get_of_nowhere(bench):
    return bench.acme.session.get(bench.server.url + "/acme/nowhere", timeout=30)


@case
def put_to_new_order(bench):
    return bench.acme.session.put(bench.acme.urls["newOrder"], json={}, timeout=30)


@case
def nonce_unknown(bench):
    return bench.acme.post(bench.acme.kid, nonce="AAAAAAAAAAAAAAAAAAAAAA")


@case
def nonce_missing(bench):
    return bench.acme.post(bench.acme.kid, nonce=None)


@case
def nonce_not_base64url(bench):
    return bench.acme.post(bench.acme.kid, nonce="not a nonce!")


@case
def nonce_twice(bench):
    nonce = bench.acme.fresh_nonce()
    bench.acme.post(bench.acme.kid, nonce=nonce)
    return bench.acme.post(bench.acme.kid, nonce=nonce)


@case
def a_bad_nonce_brings_a_new_one(bench):
    return str("Replay-Nonce" in bench.acme.post(bench.acme.kid, nonce="AAAAAAAAAAAAAAAAAAAAAA").headers)


@case
def content_type_json(bench):
    return bench.acme.send(bench.acme.kid, bench.acme.envelope(bench.acme.kid, None), content_type="application/json")


@case
def content_type_missing(bench):
    return bench.acme.send(bench.acme.kid, bench.acme.envelope(bench.acme.kid, None), content_type=None)


@case
def body_empty(bench):
    return bench.acme.send(bench.acme.kid, b"")


@case
def body_not_json(bench):
    return bench.acme.send(bench.acme.kid, b"{")


@case
def body_unprotected_header(bench):
    return bench.acme.send(bench.acme.kid, {**bench.acme.envelope(bench.acme.kid, None), "header": {"kid": bench.acme.kid}})


@case
def body_two_signatures(bench):
    envelope = bench.acme.envelope(bench.acme.kid, None)
    signature = {"protected": envelope["protected"], "signature": envelope["signature"]}
    return bench.acme.send(bench.acme.kid, {"payload": envelope["payload"], "signatures": [signature, signature]})


@case
def signature_damaged(bench):
    envelope = bench.acme.envelope(bench.acme.kid, None)
    damaged = bytearray(base64.urlsafe_b64decode(envelope["signature"] + "=="))
    damaged[-1] ^= 1
    return bench.acme.send(bench.acme.kid, {**envelope, "signature": b64(bytes(damaged))})


@case
def signature_padded(bench):
    envelope = bench.acme.envelope(bench.acme.kid, None)
    return bench.acme.send(bench.acme.kid, {**envelope, "signature": envelope["signature"] + "=="})


@case
def signature_by_another_key(bench):
    stranger = bench.connect()
    stranger.kid = bench.acme.kid
    return stranger.post(bench.acme.kid)


@case
def header_url_of_something_else(bench):
    return bench.acme.send(bench.acme.kid, bench.acme.envelope(bench.acme.urls["newOrder"], None))


@case
def header_url_missing(bench):
    return bench.acme.send(bench.acme.kid, bench.acme.envelope(bench.acme.kid, None, url=None))


@case
def header_kid_and_jwk(bench):
    return bench.acme.post(bench.acme.kid, jwk=bench.acme.key.jwk())


@case
def header_no_key_at_all(bench):
    return bench.acme.post(bench.acme.kid, kid=None)


@case
def header_kid_of_nobody(bench):
    return bench.acme.post(bench.acme.kid, kid=bench.acme.kid.rpartition("/")[0] + "/" + "0" * 32)


@case
def header_kid_is_no_url(bench):
    return bench.acme.post(bench.acme.kid, kid="me")


@case
def header_alg_none(bench):
    return bench.acme.post(bench.acme.kid, alg="none")


@case
def header_alg_hs256(bench):
    return bench.acme.post(bench.acme.kid, alg="HS256")


@case
def header_alg_of_another_kind(bench):
    return bench.acme.post(bench.acme.kid, alg="RS256")


@case
def header_crit(bench):
    return bench.acme.post(bench.acme.kid, crit=["exp"], exp=1)


@case
def jwk_where_a_kid_belongs(bench):
    return bench.acme.post(bench.acme.urls["newOrder"], {"identifiers": [{"type": "dns", "value": bench.fresh_name()}]},
                           kid=None, jwk=bench.acme.key.jwk())


@case
def kid_where_a_jwk_belongs(bench):
    return bench.acme.post(bench.acme.urls["newAccount"], {"termsOfServiceAgreed": True})


@case
def post_as_get_with_a_payload(bench):
    return bench.acme.post(bench.order["authorizations"][0], {"surprise": True})


@case
def order_with_a_payload(bench):
    url, _ = bench.acme.order(bench.fresh_name())
    return bench.acme.post(url, {})


@case
def payload_not_json(bench):
    return bench.acme.post(bench.acme.urls["newOrder"], b"{")


@case
def payload_an_array(bench):
    return bench.acme.post(bench.acme.urls["newOrder"], b"[]")


# --- accounts (§7.3) -----------------------------------------------------------------------------------------------------------------
def register(bench, payload, **more):
    stranger = bench.connect(**more)
    return stranger.post(stranger.urls["newAccount"], payload)


@case
def account_new(bench):
    return register(bench, {"termsOfServiceAgreed": True})


@case
def account_new_without_agreement(bench):
    return register(bench, {})


@case
def account_again(bench):
    same = bench.connect(key=bench.acme.key)
    return same.post(same.urls["newAccount"], {"termsOfServiceAgreed": True})


@case
def account_only_existing_of_nobody(bench):
    return register(bench, {"onlyReturnExisting": True})


@case
def account_only_existing_of_somebody(bench):
    same = bench.connect(key=bench.acme.key)
    return same.post(same.urls["newAccount"], {"onlyReturnExisting": True})


@case
def account_contact_telephone(bench):
    return register(bench, {"termsOfServiceAgreed": True, "contact": ["tel:+15551234"]})


@case
def account_contact_with_header_fields(bench):
    return register(bench, {"termsOfServiceAgreed": True, "contact": ["mailto:a@svc.test?subject=x"]})


@case
def account_contact_two_addresses(bench):
    return register(bench, {"termsOfServiceAgreed": True, "contact": ["mailto:a@svc.test,b@svc.test"]})


@case
def account_contact_no_url(bench):
    return register(bench, {"termsOfServiceAgreed": True, "contact": ["nonsense"]})


@case
def account_contact_not_a_list(bench):
    return register(bench, {"termsOfServiceAgreed": True, "contact": "mailto:a@svc.test"})


@case
def account_rsa_1024(bench):
    return register(bench, {"termsOfServiceAgreed": True}, key=Key("RS256", 1024))


@case
def account_members_that_clients_may_not_set(bench):
    return register(bench, {"termsOfServiceAgreed": True, "status": "deactivated", "orders": "https://example.org/", "unknown": 1})


@case
def account_read(bench):
    return bench.acme.post(bench.acme.kid)


@case
def account_read_with_empty_object(bench):
    return bench.acme.post(bench.acme.kid, {})


@case
def account_new_contact(bench):
    return bench.acme.post(bench.acme.kid, {"contact": ["mailto:other@svc.test"]})


@case
def account_status_unknown(bench):
    return bench.acme.post(bench.acme.kid, {"status": "asleep"})


@case
def account_of_somebody_else(bench):
    return bench.account().post(bench.acme.kid)


@case
def account_orders(bench):
    return bench.acme.post(bench.acme.post(bench.acme.kid).json()["orders"])


@case
def account_orders_of_somebody_else(bench):
    return bench.account().post(bench.acme.post(bench.acme.kid).json()["orders"])


def deactivated(bench):
    acme = bench.account()
    assert acme.post(acme.kid, {"status": "deactivated"}).json()["status"] == "deactivated"
    return acme


@case
def account_deactivation(bench):
    acme = bench.account()
    return acme.post(acme.kid, {"status": "deactivated"})


@case
def account_deactivated_reads_itself(bench):
    acme = deactivated(bench)
    return acme.post(acme.kid)


@case
def account_deactivated_orders(bench):
    return deactivated(bench).new_order(bench.fresh_name())


@case
def account_deactivated_registers_again(bench):
    same = bench.connect(key=deactivated(bench).key)
    return same.post(same.urls["newAccount"], {"termsOfServiceAgreed": True})


@case
def account_deactivated_only_existing(bench):
    same = bench.connect(key=deactivated(bench).key)
    return same.post(same.urls["newAccount"], {"onlyReturnExisting": True})


@case
def account_deactivation_ends_what_is_pending(bench):
    acme = bench.account()
    _, _, authorization, challenge = bench.pending(acme)
    acme.post(acme.kid, {"status": "deactivated"})
    return words(acme.post(challenge["url"], {})) + ", " + words(acme.post(authorization))


# --- key change (§7.3.5) -------------------------------------------------------------------------------------------------------------
def change_key(acme, new, payload=None, **header):
    """keyChange with the inner JWS of `new`; `header` replaces members of the inner protected header."""
    url = acme.urls["keyChange"]
    protected = {"alg": new.alg, "jwk": new.jwk(), "url": url, **header}
    protected = b64(json.dumps({name: value for name, value in protected.items() if value is not None}))
    body = b64(json.dumps(payload or {"account": acme.kid, "oldKey": acme.key.jwk()}))
    inner = {"protected": protected, "payload": body, "signature": b64(new.sign(f"{protected}.{body}".encode()))}
    return acme.post(url, inner)


@case
def key_change(bench):
    acme, new = bench.account(), Key()
    done = change_key(acme, new)
    old = acme.post(acme.kid)
    acme.key = new
    return f"{words(done)}, old key {words(old)}, new key {words(acme.post(acme.kid))}"


@case
def key_change_then_only_existing_with_the_old_key(bench):
    acme = bench.account()
    change_key(acme, Key("RS256"))
    old = bench.connect(key=acme.key)
    return old.post(old.urls["newAccount"], {"onlyReturnExisting": True})


@case
def key_change_to_a_key_in_use(bench):
    reply = change_key(bench.account(), bench.acme.key)
    return f"{words(reply)}, Location {'is the other account' if reply.headers.get('Location') == bench.acme.kid else 'missing'}"


@case
def key_change_to_the_same_key(bench):
    acme = bench.account()
    return change_key(acme, acme.key)


@case
def key_change_inner_url_differs(bench):
    acme = bench.account()
    return change_key(acme, Key(), url=acme.urls["newOrder"])


@case
def key_change_inner_with_nonce(bench):
    acme = bench.account()
    return change_key(acme, Key(), nonce=acme.fresh_nonce())


@case
def key_change_inner_with_kid(bench):
    acme = bench.account()
    return change_key(acme, Key(), jwk=None, kid=acme.kid)


@case
def key_change_of_another_account(bench):
    acme = bench.account()
    return change_key(acme, Key(), {"account": bench.acme.kid, "oldKey": acme.key.jwk()})


@case
def key_change_with_another_old_key(bench):
    acme = bench.account()
    return change_key(acme, Key(), {"account": acme.kid, "oldKey": bench.acme.key.jwk()})


@case
def key_change_inner_signed_by_the_old_key(bench):
    acme, new = bench.account(), Key()
    new.private = acme.key.private
    return change_key(acme, new, jwk=Key().jwk())


@case
def key_change_to_rsa_1024(bench):
    return change_key(bench.account(), Key("RS256", 1024))


@case
def key_change_without_an_inner_jws(bench):
    return bench.acme.post(bench.acme.urls["keyChange"], {"account": bench.acme.kid, "oldKey": bench.acme.key.jwk()})


# --- orders (§7.4) -------------------------------------------------------------------------------------------------------------------
def new_order(bench, *identifiers, **more):
    return bench.acme.post(bench.acme.urls["newOrder"], {"identifiers": list(identifiers), **more})


def order_case(name, *values, kind="dns", **more):
    CASES[name] = lambda bench: new_order(bench, *({"type": kind, "value": value} for value in values), **more)


order_case("order_one_name", "one.svc.test")
order_case("order_wildcard", "*.wild.svc.test")
order_case("order_nothing")
order_case("order_name_twice", "two.svc.test", "two.svc.test")
order_case("order_upper_case", "UPPER.svc.test")
order_case("order_name_empty", "")
order_case("order_name_with_a_dot_at_the_end", "end.svc.test.")
order_case("order_name_with_two_dots", "a..svc.test")
order_case("order_label_too_long", "x" * 64 + ".svc.test")
order_case("order_name_too_long", ".".join(["x" * 50] * 6) + ".svc.test")
order_case("order_name_with_underscore", "a_b.svc.test")
order_case("order_name_with_space", "a b.svc.test")
order_case("order_name_not_ascii", "bücher.svc.test")
order_case("order_two_wildcards", "*.*.svc.test")
order_case("order_wildcard_in_the_middle", "a.*.svc.test")
order_case("order_wildcard_alone", "*")
order_case("order_address_as_a_name", "10.8.10.252")
order_case("order_address", "203.0.113.9", kind="ip")
order_case("order_address_malformed", "10.8.10.999", kind="ip")
order_case("order_of_an_unknown_type", "x@svc.test", kind="email")
order_case("order_value_not_text", 7)
order_case("order_outside_every_zone", "www.example.org")
order_case("order_top_level_name", "test")
order_case("order_101_names", *(f"n{number}.svc.test" for number in range(101)))
order_case("order_not_before_malformed", "dates.svc.test", notBefore="yesterday")
order_case("order_not_after_in_the_past", "dates.svc.test", notAfter="2020-01-01T00:00:00Z")
order_case("order_not_after_far_away", "dates.svc.test", notAfter="2099-01-01T00:00:00Z")
order_case("order_dates_upside_down", "dates.svc.test", notBefore="2099-01-02T00:00:00Z", notAfter="2099-01-01T00:00:00Z")


@case
def order_one_bad_name_of_two(bench):
    reply = new_order(bench, {"type": "dns", "value": bench.fresh_name()}, {"type": "dns", "value": "a..b"})
    return f"{words(reply)}, {len(reply.json().get('subproblems', []))} subproblems"


@case
def order_of_somebody_else(bench):
    url, *_ = bench.pending(bench.account())
    return bench.acme.post(url)


@case
def order_that_does_not_exist(bench):
    url, *_ = bench.pending(bench.acme)
    return bench.acme.post(url.rpartition("/")[0] + "/" + "0" * 32)


@case
def order_reply_equals_the_order(bench):
    reply = bench.acme.new_order(bench.fresh_name())
    return str(reply.json() == bench.acme.post(reply.headers["Location"]).json())


# --- authorizations and challenges (§7.5) --------------------------------------------------------------------------------------------
@case
def authorization_beforehand(bench):
    if "newAuthz" not in bench.acme.urls:
        return "not in the directory"
    return bench.acme.post(bench.acme.urls["newAuthz"], {"identifier": {"type": "dns", "value": bench.fresh_name()}})


@case
def authorization_of_somebody_else(bench):
    _, order, *_ = bench.pending(bench.account())
    return bench.acme.post(order["authorizations"][0])


@case
def authorization_that_does_not_exist(bench):
    return bench.acme.post(bench.order["authorizations"][0].rpartition("/")[0] + "/" + "0" * 32)


@case
def authorization_given_back_while_pending(bench):
    url, order, *_ = bench.pending(bench.acme)
    reply = bench.acme.post(order["authorizations"][0], {"status": "deactivated"})
    return f"{words(reply)}, order {words(bench.acme.post(url))}"


@case
def authorization_given_back_when_valid(bench):
    url, order, *_ = bench.ready(bench.acme)
    reply = bench.acme.post(order["authorizations"][0], {"status": "deactivated"})
    return f"{words(reply)}, order {words(bench.acme.post(url))}, finalize {words(bench.acme.finalize(order))}"


@case
def authorization_set_valid_by_its_owner(bench):
    _, order, *_ = bench.pending(bench.acme)
    return bench.acme.post(order["authorizations"][0], {"status": "valid"})


@case
def challenge_of_somebody_else(bench):
    *_, challenge = bench.pending(bench.account())
    return bench.acme.post(challenge["url"], {})


@case
def challenge_that_does_not_exist(bench):
    *_, challenge = bench.pending(bench.acme)
    return bench.acme.post(challenge["url"].rpartition("/")[0] + "/" + "0" * 32, {})


@case
def challenge_read(bench):
    *_, challenge = bench.pending(bench.acme)
    return bench.acme.post(challenge["url"])


@case
def challenge_with_the_old_key_authorization(bench):
    *_, challenge = bench.pending(bench.acme)
    reply = bench.acme.post(challenge["url"], {"keyAuthorization": f"{challenge['token']}.{bench.acme.key.thumbprint()}"})
    return reply if reply.status_code >= 400 else str(reply.status_code)  # it may be decided at once or not


@case
def challenge_again_when_valid(bench):
    *_, challenge = bench.ready(bench.acme)
    return bench.acme.post(challenge["url"], {})


@case
def challenge_another_one_when_valid(bench):
    _, _, authorization, challenge = bench.ready(bench.acme)
    others = [one for one in bench.acme.post(authorization).json()["challenges"] if one["type"] != challenge["type"]]
    return f"{len(others)} others"


@case
def challenge_again_when_invalid(bench):
    *_, challenge = bench.invalid(bench.acme)
    return bench.acme.post(challenge["url"], {})


@case
def challenge_failed_says_why(bench):
    url, _, authorization, challenge = bench.invalid(bench.acme)
    failed = next(one for one in bench.acme.post(authorization).json()["challenges"] if one["type"] == challenge["type"])
    return f"{failed['error']['type'][len(ERROR):]}, order {words(bench.acme.post(url))}"


# --- finalize and certificates (§7.4) ------------------------------------------------------------------------------------------------
@case
def finalize_early(bench):
    _, order, *_ = bench.pending(bench.acme)
    return bench.acme.finalize(order)


@case
def finalize_an_invalid_order(bench):
    _, order, *_ = bench.invalid(bench.acme)
    return bench.acme.finalize(order)


@case
def finalize_somebody_elses_order(bench):
    _, order, *_ = bench.ready(bench.account())
    return bench.acme.finalize(order)


def finalize_case(name, make):
    """`make` makes the payload of a finalize request from the bench and the name of an order that is ready."""
    def run(bench):
        url, order, *_ = bench.ready(bench.acme)
        reply = bench.acme.post(order["finalize"], make(bench, order["identifiers"][0]["value"]))
        if reply.status_code >= 400:
            return reply
        return f"{reply.status_code} {bench.acme.wait(url, ('valid', 'invalid'))['status']}"
    CASES[name] = run


finalize_case("finalize_without_a_csr", lambda bench, name: {})
finalize_case("finalize_csr_not_base64url", lambda bench, name: {"csr": "!!!"})
finalize_case("finalize_csr_as_pem", lambda bench, name: {"csr": "-----BEGIN CERTIFICATE REQUEST-----"})
finalize_case("finalize_csr_garbage", lambda bench, name: {"csr": b64(b"garbage")})
finalize_case("finalize_csr_padded", lambda bench, name: {"csr": base64.urlsafe_b64encode(make_csr([name]) + b"").decode() + "="})
finalize_case("finalize_csr_signature_damaged", lambda bench, name: {"csr": b64(make_csr([name])[:-1] + b"\0")})
finalize_case("finalize_csr_other_name", lambda bench, name: {"csr": b64(make_csr(["other.svc.test"]))})
finalize_case("finalize_csr_one_name_more", lambda bench, name: {"csr": b64(make_csr([name, "more.svc.test"]))})
finalize_case("finalize_csr_no_name", lambda bench, name: {"csr": b64(make_csr([]))})
finalize_case("finalize_csr_common_name_only", lambda bench, name: {"csr": b64(make_csr([], common_name=name))})
finalize_case("finalize_csr_foreign_common_name", lambda bench, name: {"csr": b64(make_csr([name], common_name="cn.svc.test"))})
finalize_case("finalize_csr_account_key", lambda bench, name: {"csr": b64(make_csr([name], bench.acme.key.private))})
finalize_case("finalize_csr_rsa_1024", lambda bench, name: {"csr": b64(make_csr([name], Key("RS256", 1024).private))})
finalize_case("finalize_csr_p521", lambda bench, name: {"csr": b64(make_csr([name], ec.generate_private_key(ec.SECP521R1())))})
finalize_case("finalize_csr_upper_case", lambda bench, name: {"csr": b64(make_csr([name.upper()]))})
finalize_case("finalize_csr_name_twice", lambda bench, name: {"csr": b64(make_csr([], extensions=(
    (SubjectAlternativeName([DNSName(name), DNSName(name)]), False),)))})


@case
def finalize_after_a_bad_csr(bench):
    url, order, *_ = bench.ready(bench.acme)
    bench.acme.post(order["finalize"], {"csr": b64(b"garbage")})
    reply = bench.acme.finalize(order)
    return f"{reply.status_code} {bench.acme.wait(url, ('valid', 'invalid'))['status']}"


@case
def finalize_twice_with_the_same_csr(bench):
    url, order, *_ = bench.ready(bench.acme)
    csr = make_csr([order["identifiers"][0]["value"]])
    bench.acme.finalize(order, csr=csr)
    bench.acme.wait(url, ("valid", "invalid"))
    return bench.acme.finalize(order, csr=csr)


@case
def finalize_twice_with_another_csr(bench):
    url, order, *_ = bench.ready(bench.acme)
    bench.acme.finalize(order)
    bench.acme.wait(url, ("valid", "invalid"))
    return bench.acme.finalize(order)


@case
def certificate_read(bench):
    reply = bench.acme.post(bench.order["certificate"])
    return f"{reply.status_code} {reply.headers['Content-Type']}"


@case
def certificate_of_somebody_else(bench):
    return bench.account().post(bench.order["certificate"])


@case
def certificate_by_get(bench):
    return bench.acme.session.get(bench.order["certificate"], timeout=30)


@case
def certificate_as_something_else(bench):
    acme, url = bench.acme, bench.order["certificate"]
    reply = acme.send(url, acme.envelope(url, None), accept="application/pkix-cert")
    return f"{words(reply)} {reply.headers['Content-Type'].partition(';')[0]}"


# --- revocation (§7.6) ---------------------------------------------------------------------------------------------------------------
@case
def revoke_and_again(bench):
    _, _, certificate, _ = bench.issue(bench.acme)
    return f"{words(revoke(bench.acme, certificate))}, {words(revoke(bench.acme, certificate))}"


@case
def revoke_by_the_certificates_key(bench):
    _, _, certificate, private = bench.issue(bench.acme)
    key = Key()
    key.private = private
    return revoke(bench.connect(key=key), certificate, reason=1)


@case
def revoke_by_an_account_with_the_authorizations(bench):
    name, _, certificate, _ = bench.issue(bench.acme)
    stranger = bench.account()
    _, order = stranger.order(name)
    challenge = chosen(stranger.post(order["authorizations"][0]).json())
    bench.publish(stranger, order, challenge)
    stranger.post(challenge["url"], {})
    assert stranger.wait(order["authorizations"][0], ("valid", "invalid"))["status"] == "valid"
    return revoke(stranger, certificate)


@case
def revoke_by_a_stranger(bench):
    return revoke(bench.account(), bench.certificate)


@case
def revoke_by_a_strange_key(bench):
    return revoke(bench.connect(), bench.certificate)


@case
def revoke_for_reason_7(bench):
    return revoke(bench.acme, bench.certificate, reason=7)


@case
def revoke_for_reason_99(bench):
    return revoke(bench.acme, bench.certificate, reason=99)


@case
def revoke_for_a_reason_in_words(bench):
    return revoke(bench.acme, bench.certificate, reason="superseded")


@case
def revoke_garbage(bench):
    return bench.acme.post(bench.acme.urls["revokeCert"], {"certificate": b64(b"garbage")})


@case
def revoke_nothing(bench):
    return bench.acme.post(bench.acme.urls["revokeCert"], {})


@case
def revoke_a_certificate_of_another_ca(bench):
    return revoke(bench.acme, self_signed(bench.fresh_name()))


# --- external accounts (§7.3.4), against a server that requires them -------------------------------------------------------------------
def bind(bench, acme=None, key=None, payload=None, **header):
    """newAccount with an externalAccountBinding; `header` replaces members of its protected header."""
    acme = acme or bench.connect()
    kid, secret = bench.server.eab
    url = acme.urls["newAccount"]
    protected = {"alg": "HS256", "kid": kid, "url": url, **header}
    digest = {"HS384": hashlib.sha384, "HS512": hashlib.sha512}.get(protected["alg"], hashlib.sha256)
    protected = b64(json.dumps({name: value for name, value in protected.items() if value is not None}))
    body = b64(json.dumps(acme.key.jwk() if payload is None else payload))
    mac = hmac.new(base64.urlsafe_b64decode(key or secret), f"{protected}.{body}".encode(), digest).digest()
    eab = {"protected": protected, "payload": body, "signature": b64(mac)}
    return acme.post(url, {"termsOfServiceAgreed": True, "externalAccountBinding": eab})


@eab_case
def eab_good(bench):
    return bind(bench)


@eab_case
def eab_hs512(bench):
    return bind(bench, alg="HS512")


@eab_case
def eab_same_binding_for_two_accounts(bench):
    return f"{words(bind(bench))}, {words(bind(bench))}"


@eab_case
def eab_again_for_the_same_account(bench):
    acme = bench.connect()
    bind(bench, acme)
    return bind(bench, acme)


@eab_case
def eab_missing_for_an_account_that_is_there(bench):
    acme = bench.connect()
    bind(bench, acme)
    return acme.post(acme.urls["newAccount"], {"termsOfServiceAgreed": True})


@eab_case
def eab_missing(bench):
    return register(bench, {"termsOfServiceAgreed": True})


@eab_case
def eab_missing_only_existing(bench):
    return register(bench, {"onlyReturnExisting": True})


@eab_case
def eab_wrong_key(bench):
    return bind(bench, key="w" * 44)


@eab_case
def eab_unknown_kid(bench):
    return bind(bench, kid="nobody")


@eab_case
def eab_without_kid(bench):
    return bind(bench, kid=None)


@eab_case
def eab_algorithm_of_a_signature(bench):
    return bind(bench, alg="ES256")


@eab_case
def eab_algorithm_none(bench):
    return bind(bench, alg="none")


@eab_case
def eab_with_a_nonce(bench):
    acme = bench.connect()
    return bind(bench, acme, nonce=acme.fresh_nonce())


@eab_case
def eab_url_differs(bench):
    acme = bench.connect()
    return bind(bench, acme, url=acme.urls["newOrder"])


@eab_case
def eab_of_another_key(bench):
    return bind(bench, payload=Key().jwk())


@eab_case
def eab_not_a_jws(bench):
    return register(bench, {"termsOfServiceAgreed": True, "externalAccountBinding": {"kid": "lego"}})
