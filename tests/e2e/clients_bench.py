"""What a comparison of servers stands on: the list of cases, a responder for http-01, accounts and orders in every state.

A case gets a Bench and returns a requests.Response (or a text made of several). It judges nothing: test_pebble_differences.py does.
"""
import http.server
import threading

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from jws_client import ERROR, Acme, b64, httpreq, make_csr, split_chain
from namespace import INGRESS

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
