"""Python's acme library as certbot uses it: the whole flow, then what a library user gets wrong."""
import datetime

import josepy
import pytest
from acme import challenges, client, errors, messages
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from jws_client import assert_sentence, httpreq, make_csr, names_of, split_chain

NAMES = ["py.svc.test", "*.py.svc.test"]


def connect(app, key):
    network = client.ClientNetwork(key, user_agent="certbot-like", verify_ssl=app.root_pem)
    network.session.trust_env = False
    directory = client.ClientV2.get_directory(app.directory_url, network)
    return client.ClientV2(directory, net=network)


def new_client(app, **registration):
    acme = connect(app, josepy.JWKRSA(key=rsa.generate_private_key(65537, 2048)))
    new = messages.NewRegistration.from_data(email="admin@svc.test", terms_of_service_agreed=True, **registration)
    return acme, acme.new_account(new)


def csr_pem(names):
    return x509.load_der_x509_csr(make_csr(names)).public_bytes(serialization.Encoding.PEM)


def dns_challenges(order):
    for authorization in order.authorizations:
        for body in authorization.body.challenges:
            if isinstance(body.chall, challenges.DNS01):
                yield authorization.body.identifier.value, body


def publish(app, acme, order):
    for name, body in dns_challenges(order):
        value = body.chall.validation(acme.net.key)
        reply = httpreq(app, "present", f"_acme-challenge.{name}.", value)
        assert reply.status_code == 200, reply.text


def answer(acme, order):
    for _, body in dns_challenges(order):
        acme.answer_challenge(body, body.chall.response(acme.net.key))


def test_full_flow(app):
    acme, _ = new_client(app)
    order = acme.new_order(csr_pem(NAMES))
    publish(app, acme, order)
    answer(acme, order)
    done = acme.poll_and_finalize(order)
    assert names_of(split_chain(done.fullchain_pem)[0]) == sorted(NAMES)


def test_account_is_found_again_updated_and_deactivated(app):
    acme, registration = new_client(app)
    again = connect(app, acme.net.key)
    with pytest.raises(errors.ConflictError) as conflict:
        again.new_account(messages.NewRegistration.from_data(email="admin@svc.test", terms_of_service_agreed=True))
    assert conflict.value.location == registration.uri
    found = again.query_registration(registration)
    assert found.body.contact == ("mailto:admin@svc.test",)
    changed = again.update_registration(found, found.body.update(contact=("mailto:new@svc.test",)))
    assert changed.body.contact == ("mailto:new@svc.test",)
    assert again.deactivate_registration(changed).body.status == "deactivated"
    with pytest.raises(messages.Error) as refused:
        again.new_order(csr_pem(NAMES))
    assert refused.value.code == "unauthorized"


def test_an_unpublished_value_ends_invalid_and_says_why(app):
    acme, _ = new_client(app)
    order = acme.new_order(csr_pem(["missing.svc.test"]))
    answer(acme, order)
    with pytest.raises(errors.ValidationError) as failed:
        acme.poll_and_finalize(order)
    challenge = failed.value.failed_authzrs[0].body.challenges[0]
    assert challenge.error.code in ("dns", "incorrectResponse", "unauthorized")
    assert "_acme-challenge.missing.svc.test" in challenge.error.detail
    assert_sentence(challenge.error.detail)


def test_a_wrong_value_ends_invalid(app):
    acme, _ = new_client(app)
    order = acme.new_order(csr_pem(["wrong.svc.test"]))
    assert httpreq(app, "present", "_acme-challenge.wrong.svc.test.", "A" * 43).status_code == 200
    answer(acme, order)
    with pytest.raises(errors.ValidationError):
        acme.poll_and_finalize(order)


def test_finalize_before_the_proof_is_order_not_ready(app):
    acme, _ = new_client(app)
    order = acme.new_order(csr_pem(NAMES))
    with pytest.raises(messages.Error) as refused:
        acme.finalize_order(order, datetime.datetime.now() + datetime.timedelta(seconds=5))
    assert refused.value.code == "orderNotReady"


def test_a_name_outside_the_zones_is_rejected(app):
    acme, _ = new_client(app)
    with pytest.raises(messages.Error) as refused:
        acme.new_order(csr_pem(["www.example.org"]))
    assert refused.value.code == "rejectedIdentifier"
    assert "www.example.org" in refused.value.detail


def test_terms_not_agreed_is_fine_without_terms(app):
    acme = connect(app, josepy.JWKRSA(key=rsa.generate_private_key(65537, 2048)))
    registration = acme.new_account(messages.NewRegistration.from_data(email="a@svc.test"))
    assert registration.body.status == "valid"
