"""Cases of a comparison: orders, authorizations, challenges, certificates (RFC 8555 §7.4, §7.5) and revocation (§7.6)."""
import base64

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import DNSName, SubjectAlternativeName

from clients_bench import CASES, case, chosen, revoke, words
from jws_client import ERROR, Key, b64, make_csr
from pebble import self_signed


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
