"""Requests sent to ours and to Debian's Pebble: what each answers, and why where they differ.

A row that is wrong fails: a difference that is not in DIFFERENT, or one in it that is none any more.
"""
import pytest

import clients_requests_account  # noqa: F401 # pylint: disable=unused-import
import clients_requests_order  # noqa: F401 # pylint: disable=unused-import
from clients_bench import CASES, EAB_CASES, Bench, Responder, Visitor, words
from clients_topology import WITH_EAB, server  # noqa: F401 # pylint: disable=unused-import

DEACTIVATED = "RFC 8555 §7.3.6: 401"
PROBLEM = "every refusal of ours is a problem document, RFC 8555 §6.7"
DATES = "Pebble passes over the dates; RFC 8555 §7.4 wants an error for what cannot be fulfilled"
SMALL_KEY = "1024 bits can be factored; acme.min_rsa_bits"
BAD_CSR = "RFC 8555 §7.4: badCSR"
REPEATED = "a client that repeats a request whose answer it lost is told the state"
EVERY_NAME = "Pebble issues for every name"
ORDER_STATES = "an order has no status deactivated, RFC 8555 §7.1.6"
ALGORITHM = "RFC 8555 §6.2: badSignatureAlgorithm, with the list of algorithms"
EAB_ALGORITHM = "RFC 8555 §7.3.4: the algorithm is at fault, not the key"

SAME = {
    "nonce_by_head": "200",
    "nonce_by_get": "204",
    "nonce_by_post_as_get": "204",
    "directory_by_post_as_get": "200",
    "get_of_an_order": "405 malformed",
    "get_of_new_account": "405 malformed",
    "put_to_new_order": "405 malformed",
    "nonce_unknown": "400 badNonce",
    "nonce_missing": "400 badNonce",
    "nonce_twice": "400 badNonce",
    "a_bad_nonce_brings_a_new_one": "True",
    "content_type_json": "415 malformed",
    "content_type_missing": "415 malformed",
    "body_empty": "400 malformed",
    "body_not_json": "400 malformed",
    "body_unprotected_header": "400 malformed",
    "body_two_signatures": "400 malformed",
    "signature_damaged": "400 malformed",
    "signature_padded": "400 malformed",
    "signature_by_another_key": "400 malformed",
    "header_url_missing": "400 malformed",
    "header_kid_and_jwk": "400 malformed",
    "header_no_key_at_all": "400 malformed",
    "header_kid_of_nobody": "400 accountDoesNotExist",
    "header_crit": "400 malformed",
    "jwk_where_a_kid_belongs": "400 malformed",
    "kid_where_a_jwk_belongs": "400 malformed",
    "post_as_get_with_a_payload": "400 malformed",
    "order_with_a_payload": "400 malformed",
    "payload_not_json": "400 malformed",
    "payload_an_array": "400 malformed",
    "account_new": "201 valid",
    "account_again": "200 valid",
    "account_only_existing_of_nobody": "400 accountDoesNotExist",
    "account_only_existing_of_somebody": "200 valid",
    "account_contact_telephone": "400 unsupportedContact",
    "account_contact_two_addresses": "400 invalidContact",
    "account_contact_no_url": "400 unsupportedContact",
    "account_contact_not_a_list": "400 malformed",
    "account_members_that_clients_may_not_set": "201 valid",
    "account_read": "200 valid",
    "account_new_contact": "200 valid",
    "account_orders": "200",
    "account_deactivation": "200 deactivated",
    "key_change_then_only_existing_with_the_old_key": "400 accountDoesNotExist",
    "key_change_inner_url_differs": "400 malformed",
    "key_change_inner_with_kid": "400 malformed",
    "key_change_of_another_account": "400 malformed",
    "key_change_with_another_old_key": "400 malformed",
    "key_change_inner_signed_by_the_old_key": "400 malformed",
    "key_change_without_an_inner_jws": "400 malformed",
    "order_one_name": "201 pending",
    "order_wildcard": "201 pending",
    "order_nothing": "400 malformed",
    "order_name_twice": "201 pending",
    "order_upper_case": "201 pending",
    "order_name_empty": "400 malformed",
    "order_name_with_a_dot_at_the_end": "400 malformed",
    "order_name_too_long": "400 malformed",
    "order_name_with_underscore": "400 malformed",
    "order_name_with_space": "400 malformed",
    "order_name_not_ascii": "400 malformed",
    "order_two_wildcards": "400 malformed",
    "order_wildcard_in_the_middle": "400 malformed",
    "order_wildcard_alone": "400 malformed",
    "order_address_as_a_name": "400 malformed",
    "order_address_malformed": "400 malformed",
    "order_value_not_text": "400 malformed",
    "order_of_somebody_else": "403 unauthorized",
    "order_reply_equals_the_order": "True",
    "authorization_of_somebody_else": "403 unauthorized",
    "authorization_set_valid_by_its_owner": "400 malformed",
    "challenge_of_somebody_else": "403 unauthorized",
    "challenge_read": "200 pending",
    "challenge_another_one_when_valid": "0 others",
    "challenge_failed_says_why": "unauthorized, order 200 invalid",
    "finalize_early": "403 orderNotReady",
    "finalize_an_invalid_order": "403 orderNotReady",
    "finalize_somebody_elses_order": "403 unauthorized",
    "finalize_without_a_csr": "400 malformed",
    "finalize_csr_not_base64url": "400 malformed",
    "finalize_csr_as_pem": "400 malformed",
    "finalize_csr_padded": "400 malformed",
    "finalize_csr_p521": "200 valid",
    "finalize_csr_upper_case": "200 valid",
    "finalize_csr_name_twice": "200 valid",
    "finalize_after_a_bad_csr": "200 valid",
    "finalize_twice_with_another_csr": "403 orderNotReady",
    "certificate_of_somebody_else": "403 unauthorized",
    "certificate_by_get": "405 malformed",
    "certificate_as_something_else": "200 application/pem-certificate-chain",
    "revoke_and_again": "200, 400 alreadyRevoked",
    "revoke_by_the_certificates_key": "200",
    "revoke_by_a_stranger": "403 unauthorized",
    "revoke_by_a_strange_key": "403 unauthorized",
    "revoke_for_reason_7": "400 badRevocationReason",
    "revoke_for_reason_99": "400 badRevocationReason",
    "revoke_for_a_reason_in_words": "400 malformed",
    "revoke_garbage": "400 malformed",
    "revoke_nothing": "400 malformed",
    "eab_good": "201 valid",
    "eab_hs512": "201 valid",
    "eab_same_binding_for_two_accounts": "201 valid, 201 valid",
    "eab_again_for_the_same_account": "200 valid",
    "eab_missing_for_an_account_that_is_there": "200 valid",
    "eab_missing": "403 externalAccountRequired",
    "eab_missing_only_existing": "400 accountDoesNotExist",
    "eab_wrong_key": "403 unauthorized",
    "eab_unknown_kid": "403 unauthorized",
    "eab_without_kid": "400 malformed",
    "eab_with_a_nonce": "400 malformed",
    "eab_url_differs": "400 malformed",
}

# name: what ours answers, what Pebble answers, why
DIFFERENT = {
    "get_of_nowhere": ("404 malformed", "404", PROBLEM),
    "nonce_not_base64url": ("400 malformed", "400 badNonce", "RFC 8555 §6.5.2: a nonce that is not base64url makes the JWS malformed"),
    "header_url_of_something_else": (
        "403 unauthorized", "400 malformed",
        "RFC 8555 §6.4: a url that does not match is rejected as unauthorized"),
    "header_kid_is_no_url": (
        "400 accountDoesNotExist", "400 malformed",
        "a kid that names no account of ours, whatever its shape, is answered alike"),
    "header_alg_none": ("400 badSignatureAlgorithm", "400 malformed", ALGORITHM),
    "header_alg_hs256": ("400 badSignatureAlgorithm", "400 malformed", ALGORITHM),
    "header_alg_of_another_kind": (
        "400 badSignatureAlgorithm", "400 malformed",
        "an algorithm that is not the account key's is what §6.2's type says"),
    "account_new_without_agreement": (
        "201 valid", "403 agreementRequired",
        "ours has no terms here, so there is nothing to agree to; with terms it is userActionRequired, RFC 8555 §7.3.3, of which Pebble's type is none"),
    "account_contact_with_header_fields": ("400 invalidContact", "201 valid", "RFC 8555 §7.3: a mailto URL with hfields MUST be rejected"),
    "account_rsa_1024": ("400 badPublicKey", "201 valid", SMALL_KEY),
    "account_read_with_empty_object": (
        "200 valid", "400 malformed",
        "an update that changes nothing is answered with the account, RFC 8555 §7.3.2"),
    "account_status_unknown": ("200 valid", "400 malformed", "RFC 8555 §7.3.2: a status other than deactivated is ignored"),
    "account_of_somebody_else": ("403 unauthorized", "200 valid", "Pebble answers with the account that asks, whatever the URL"),
    "account_orders_of_somebody_else": ("403 unauthorized", "404 malformed", "another account's object is 403 here, wherever it is"),
    "account_deactivated_reads_itself": ("401 unauthorized", "403 unauthorized", DEACTIVATED),
    "account_deactivated_orders": ("401 unauthorized", "403 unauthorized", DEACTIVATED),
    "account_deactivated_registers_again": ("401 unauthorized", "403 unauthorized", DEACTIVATED),
    "account_deactivated_only_existing": ("401 unauthorized", "403 unauthorized", DEACTIVATED),
    "account_deactivation_ends_what_is_pending": ("401 unauthorized, 401 unauthorized", "403 unauthorized, 403 unauthorized", DEACTIVATED),
    "key_change": (
        "200 valid, old key 400 malformed, new key 200 valid", "200, old key 400 malformed, new key 200 valid",
        "ours answers with the account object"),
    "key_change_to_a_key_in_use": (
        "409 malformed, Location is the other account", "500 serverInternal, Location missing",
        "RFC 8555 §7.3.5: 409 and the other account's URL in Location"),
    "key_change_to_the_same_key": (
        "409 malformed", "400 malformed",
        "the new key is in use by an account, its own: RFC 8555 §7.3.5 says 409"),
    "key_change_inner_with_nonce": ("400 malformed", "200", "RFC 8555 §7.3.5: the inner JWS MUST omit the nonce"),
    "key_change_to_rsa_1024": ("400 badPublicKey", "200", SMALL_KEY),
    "order_name_with_two_dots": ("400 malformed", "201 pending", "no name has an empty label"),
    "order_label_too_long": ("400 malformed", "201 pending", "a label has at most 63 octets"),
    "order_address": ("400 rejectedIdentifier", "201 pending", "addresses are issued to networks that the configuration or a client names"),
    "order_of_an_unknown_type": (
        "400 unsupportedIdentifier", "400 malformed",
        "RFC 8555 §6.7: the type for an identifier that is not supported"),
    "order_outside_every_zone": ("400 rejectedIdentifier", "201 pending", EVERY_NAME),
    "order_top_level_name": ("400 rejectedIdentifier", "201 pending", EVERY_NAME),
    "order_101_names": ("400 malformed", "201 pending", "a certificate has at most 100 names"),
    "order_not_before_malformed": ("400 malformed", "201 pending", DATES),
    "order_not_after_in_the_past": ("400 malformed", "201 pending", DATES),
    "order_not_after_far_away": ("400 malformed", "201 pending", DATES),
    "order_dates_upside_down": ("400 malformed", "201 pending", DATES),
    "order_one_bad_name_of_two": (
        "400 malformed, 1 subproblems", "201 pending, 0 subproblems",
        "Pebble has no subproblems, RFC 8555 §6.7.1, and takes a name with an empty label"),
    "order_that_does_not_exist": ("404 malformed", "404", PROBLEM),
    "authorization_beforehand": ("201 pending", "not in the directory", "Pebble has no pre-authorization, RFC 8555 §7.4.1"),
    "authorization_that_does_not_exist": ("404 malformed", "404", PROBLEM),
    "authorization_given_back_while_pending": (
        "200 deactivated, order 200 invalid", "200 deactivated, order 200 deactivated",
        ORDER_STATES),
    "authorization_given_back_when_valid": (
        "200 deactivated, order 200 invalid, finalize 403 orderNotReady", "200 deactivated, order 200 deactivated, finalize 403 orderNotReady",
        ORDER_STATES),
    "challenge_that_does_not_exist": ("404 malformed", "404", PROBLEM),
    "challenge_with_the_old_key_authorization": (
        "200", "400 malformed",
        "RFC 8555 §7.5.1: members that a challenge type does not define are ignored; Pebble's strict mode refuses this one on purpose"),
    "challenge_again_when_valid": ("200 valid", "400 malformed", REPEATED),
    "challenge_again_when_invalid": ("200 invalid", "400 malformed", REPEATED),
    "finalize_csr_garbage": ("400 badCSR", "400 malformed", BAD_CSR),
    "finalize_csr_signature_damaged": ("400 badCSR", "200 valid", "RFC 8555 §7.4: badCSR; Pebble does not verify it"),
    "finalize_csr_other_name": ("400 badCSR", "403 unauthorized", BAD_CSR),
    "finalize_csr_one_name_more": ("400 badCSR", "403 unauthorized", BAD_CSR),
    "finalize_csr_no_name": ("400 badCSR", "403 unauthorized", BAD_CSR),
    "finalize_csr_common_name_only": ("200 valid", "403 unauthorized", "RFC 8555 §7.4: the names may stand in the common name"),
    "finalize_csr_foreign_common_name": ("400 badCSR", "200 valid", "RFC 8555 §7.4: the CSR asks for exactly the order's names"),
    "finalize_csr_account_key": ("400 badPublicKey", "400 badCSR", "RFC 8555 §11.1 names no type; ours says that the key is at fault"),
    "finalize_csr_rsa_1024": ("400 badPublicKey", "200 valid", SMALL_KEY),
    "finalize_twice_with_the_same_csr": ("200 valid", "403 orderNotReady", REPEATED),
    "certificate_read": (
        "200 application/pem-certificate-chain", "200 application/pem-certificate-chain; charset=utf-8",
        "RFC 8555 §9.1: the media type has no parameters"),
    "revoke_by_an_account_with_the_authorizations": (
        "200", "403 unauthorized",
        "RFC 8555 §7.6: an account with all the authorizations may revoke; Pebble's README says that it lacks it"),
    "revoke_a_certificate_of_another_ca": ("404 malformed", "400 malformed", "it is not there, as any object that is unknown"),
    "eab_algorithm_of_a_signature": ("400 badSignatureAlgorithm", "400 badPublicKey", EAB_ALGORITHM),
    "eab_algorithm_none": ("400 badSignatureAlgorithm", "400 badPublicKey", EAB_ALGORITHM),
    "eab_of_another_key": ("400 malformed", "400 badPublicKey", "the account's key is good; the payload is not that key"),
    "eab_not_a_jws": ("400 malformed", "400 badPublicKey", "there is no key at fault, the object is no JWS"),
}


@pytest.fixture(scope="module")
def bench(server):  # noqa: F811 # pylint: disable=redefined-outer-name
    with Responder() as responder:
        yield Bench(server, responder)


def judge(server, name, answer):  # noqa: F811 # pylint: disable=redefined-outer-name
    ours, theirs = DIFFERENT[name][:2] if name in DIFFERENT else (SAME[name], SAME[name])
    assert answer == (theirs if server.kind == "pebble" else ours)


@pytest.mark.parametrize("name", CASES)
def test_answer(bench, name):  # pylint: disable=redefined-outer-name
    judge(bench.server, name, words(CASES[name](bench)))


@WITH_EAB
@pytest.mark.parametrize("name", EAB_CASES)
def test_answer_where_an_external_account_is_required(server, name):  # noqa: F811 # pylint: disable=redefined-outer-name
    judge(server, name, words(EAB_CASES[name](Visitor(server))))


def test_every_case_stands_in_one_table_and_every_difference_has_its_reason():
    assert sorted([*SAME, *DIFFERENT]) == sorted([*CASES, *EAB_CASES])
    for name, (ours, theirs, why) in DIFFERENT.items():
        assert ours != theirs and len(why.split()) >= 4, name
