"""Cases of a comparison: nonces, methods and envelopes (RFC 8555 §6), accounts, their keys, external accounts (§7.3)."""
import base64
import hashlib
import hmac
import json

from clients_bench import case, eab_case, words
from jws_client import Key, b64


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
