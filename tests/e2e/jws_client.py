"""A small ACME client of our own that can also do everything wrong: every part of a JWS can be replaced."""
import base64
import hashlib
import hmac
import ipaddress
import itertools
import json
import time

import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import NameOID

from appliance import SECRET

CURVES = {"ES256": (ec.SECP256R1, "P-256", 32, hashes.SHA256), "ES384": (ec.SECP384R1, "P-384", 48, hashes.SHA384),
          "ES512": (ec.SECP521R1, "P-521", 66, hashes.SHA512)}
ERROR = "urn:ietf:params:acme:error:"


def b64(data):
    if isinstance(data, str):
        data = data.encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def b64_int(number, length=None):
    return b64(number.to_bytes(length or (number.bit_length() + 7) // 8, "big"))


class Key:
    """An account key: ES256, ES384, ES512, RS256 or EdDSA."""

    def __init__(self, alg="ES256", bits=2048):
        self.alg = alg
        if alg in CURVES:
            self.private = ec.generate_private_key(CURVES[alg][0]())
        elif alg == "RS256":
            self.private = rsa.generate_private_key(65537, bits)
        else:
            self.private = ed25519.Ed25519PrivateKey.generate()

    def jwk(self):
        if self.alg in CURVES:
            numbers, (_, name, size, _) = self.private.public_key().public_numbers(), CURVES[self.alg]
            return {"crv": name, "kty": "EC", "x": b64_int(numbers.x, size), "y": b64_int(numbers.y, size)}
        if self.alg == "RS256":
            numbers = self.private.public_key().public_numbers()
            return {"e": b64_int(numbers.e), "kty": "RSA", "n": b64_int(numbers.n)}
        raw = self.private.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        return {"crv": "Ed25519", "kty": "OKP", "x": b64(raw)}

    def thumbprint(self):
        return b64(hashlib.sha256(json.dumps(self.jwk(), sort_keys=True, separators=(",", ":")).encode()).digest())

    def sign(self, data):
        if self.alg in CURVES:
            _, _, size, digest = CURVES[self.alg]
            r, s = decode_dss_signature(self.private.sign(data, ec.ECDSA(digest())))
            return r.to_bytes(size, "big") + s.to_bytes(size, "big")
        if self.alg == "RS256":
            return self.private.sign(data, padding.PKCS1v15(), hashes.SHA256())
        return self.private.sign(data)

    def pem(self):
        return self.private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                          serialization.NoEncryption())


class FromAddress(requests.adapters.HTTPAdapter):
    """Connections that leave from a given local address."""

    def __init__(self, address):
        self.address = address
        super().__init__()

    def init_poolmanager(self, *arguments, **more):
        super().init_poolmanager(*arguments, source_address=(self.address, 0), **more)


def http_session(root_pem, source=None):
    session = requests.Session()
    session.trust_env = False
    session.verify = root_pem
    if source:
        session.mount("https://", FromAddress(source))
    return session


_STRANGERS = itertools.count(1)


def stranger_session(root_pem):
    """From a loopback address that nobody used before: failed credentials are counted per address."""
    number = next(_STRANGERS)
    return http_session(root_pem, f"127.9.{number // 250}.{number % 250 + 1}")


def is_address(name):
    try:
        return bool(ipaddress.ip_address(name))
    except ValueError:
        return False


def general_name(name):
    return x509.IPAddress(ipaddress.ip_address(name)) if is_address(name) else x509.DNSName(name)


def external_account(user, secret, account_key, url, /, alg="HS256", payload=None, **changes):
    """An external account binding (RFC 8555 §7.3.4): MAC under the base64 decoding of a client's secret."""
    header = {"alg": alg, "kid": user, "url": url, **changes}
    protected = b64(json.dumps({name: value for name, value in header.items() if value is not None}))
    body = b64(json.dumps(account_key.jwk() if payload is None else payload))
    mac = hmac.digest(base64.b64decode(secret), f"{protected}.{body}".encode(), "sha" + alg[2:] if alg in ("HS256", "HS384", "HS512") else "sha256")
    return {"protected": protected, "payload": body, "signature": b64(mac)}


def make_csr(names, key=None, common_name=None, extensions=(), digest=None):
    """DER of a CSR for `names` with a fresh P-256 key unless one is given."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else []
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(subject))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([general_name(name) for name in names]), critical=False)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(key, digest or hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def split_chain(pem):
    return [x509.load_pem_x509_certificate((part + "-----END CERTIFICATE-----\n").encode())
            for part in pem.split("-----END CERTIFICATE-----\n") if "BEGIN" in part]


def names_of(certificate):
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return sorted([*names.get_values_for_type(x509.DNSName), *(str(one) for one in names.get_values_for_type(x509.IPAddress))])


def renewal_id(certificate):
    """RFC 9773 §4.1."""
    key_id = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    serial = certificate.serial_number
    return f"{b64(key_id)}.{b64(serial.to_bytes(serial.bit_length() // 8 + 1, 'big'))}"


def as_identifier(name):
    return {"type": "ip" if is_address(name) else "dns", "value": name}


class Acme:
    """One account against one directory. Every answer is a requests.Response, so that refusals can be judged."""

    def __init__(self, app, alg="ES256", key=None, directory_path="/acme/directory", source=None):
        self.app = app
        self.session = http_session(app.root_pem, source)
        self.key = key or Key(alg)
        self.kid = None
        self.nonce = None
        self.urls = self.session.get(app.url + directory_path, timeout=30).json()

    def fresh_nonce(self):
        reply = self.session.head(self.urls["newNonce"], timeout=30)
        assert reply.status_code == 200, reply
        return reply.headers["Replay-Nonce"]

    def protected(self, url, /, **changes):
        header = {"alg": self.key.alg, "nonce": self.nonce or self.fresh_nonce(), "url": url}
        header.update({"kid": self.kid} if self.kid else {"jwk": self.key.jwk()})
        header.update(changes)
        self.nonce = None
        return {name: value for name, value in header.items() if value is not None}

    def envelope(self, url, payload, /, **changes):
        """The JWS as a dictionary; payload None is POST-as-GET, bytes are taken as they are."""
        text = b"" if payload is None else payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        protected, body = b64(json.dumps(self.protected(url, **changes))), b64(text)
        return {"protected": protected, "payload": body, "signature": b64(self.key.sign(f"{protected}.{body}".encode()))}

    def send(self, url, body, content_type="application/jose+json", accept=None):
        """POST exactly `body` (a dictionary becomes JSON)."""
        data = json.dumps(body) if isinstance(body, dict) else body
        headers = {"Content-Type": content_type} if content_type else {}
        if accept:
            headers["Accept"] = accept
        reply = self.session.post(url, data=data, headers=headers, timeout=60)
        self.nonce = reply.headers.get("Replay-Nonce")
        return reply

    def post(self, url, payload=None, /, **changes):
        return self.send(url, self.envelope(url, payload, **changes))

    def again(self, source=None):
        """Another connection with its own nonces for the same account."""
        other = Acme(self.app, key=self.key, source=source)
        other.kid = self.kid
        return other

    def register(self, **payload):
        reply = self.post(self.urls["newAccount"], {"termsOfServiceAgreed": True, **payload})
        assert reply.status_code in (200, 201), reply.text
        self.kid = reply.headers["Location"]
        return self

    def new_order(self, *names, **more):
        return self.post(self.urls["newOrder"], {"identifiers": [as_identifier(name) for name in names], **more})

    def order(self, *names, **more):
        reply = self.new_order(*names, **more)
        assert reply.status_code == 201, reply.text
        return reply.headers["Location"], reply.json()

    def challenge_of(self, authorization_url, kind="dns-01"):
        authorization = self.post(authorization_url).json()
        return authorization, next(one for one in authorization["challenges"] if one["type"] == kind)

    def key_authorization(self, challenge):
        return f"{challenge['token']}.{self.key.thumbprint()}"

    def digest(self, challenge):
        return b64(hashlib.sha256(self.key_authorization(challenge).encode()).digest())

    def publish(self, authorization, challenge, user="lego", secret=None, **more):
        reply = httpreq(self.app, "present", f"_acme-challenge.{authorization['identifier']['value']}.", self.digest(challenge),
                        user, secret, session=self.session, **more)
        return reply

    def prove(self, order, **who):
        """Publish every value, then ask for every challenge; each must be valid in the reply to its POST."""
        for url in order["authorizations"]:
            authorization, challenge = self.challenge_of(url)
            if authorization["status"] == "valid":
                continue
            published = self.publish(authorization, challenge, **who)
            assert published.status_code == 200, published.text
            answer = self.post(challenge["url"], {})
            assert answer.status_code == 200 and answer.json()["status"] == "valid", answer.text

    def wait(self, url, wanted, bound_s=40, every_s=0.2):
        """Poll until the object's status is a wanted one; past the bound whatever it is then."""
        deadline = time.monotonic() + bound_s
        while True:
            found = self.post(url).json()
            if found["status"] in wanted or time.monotonic() > deadline:
                return found
            time.sleep(every_s)

    def prove_slowly(self, order, expect="valid", bound_s=40, **who):
        """Publish and ask for every challenge as prove() does, but wait for validations that go over the network."""
        for url in order["authorizations"]:
            authorization, challenge = self.challenge_of(url)
            published = self.publish(authorization, challenge, **who)
            assert published.status_code == 200, published.text
            assert self.post(challenge["url"], {}).status_code == 200
            found = self.wait(challenge["url"], ("valid", "invalid"), bound_s)
            assert found["status"] == expect, found

    def bind(self, user, secret, /, alg="HS256", **payload):
        """Register with an external account binding of the client `user`."""
        url = self.urls["newAccount"]
        return self.register(externalAccountBinding=external_account(user, secret, self.key, url, alg), **payload)

    def revoke(self, certificate, **more):
        der = certificate.public_bytes(serialization.Encoding.DER)
        return self.post(self.urls["revokeCert"], {"certificate": b64(der), **more})

    def key_change(self, new_key, /, **changes):
        """RFC 8555 §7.3.5; `inner`, `account`, `old_key`, `signer`, `outer`: what a test may get wrong."""
        url = self.urls["keyChange"]
        payload = {"account": changes.get("account", self.kid), "oldKey": changes.get("old_key", self.key.jwk())}
        header = {"alg": new_key.alg, "jwk": new_key.jwk(), "url": url, **changes.get("inner", {})}
        protected = b64(json.dumps({name: value for name, value in header.items() if value is not None}))
        body = b64(json.dumps({name: value for name, value in payload.items() if value is not None}))
        signature = b64(changes.get("signer", new_key).sign(f"{protected}.{body}".encode()))
        return self.post(url, {"protected": protected, "payload": body, "signature": signature, **changes.get("outer", {})})

    def finalize(self, order, *names, csr=None):
        names = names or [one["value"] for one in order["identifiers"]]
        return self.post(order["finalize"], {"csr": b64(make_csr(names) if csr is None else csr)})

    def issue(self, *names, order=None, **who):
        """The whole path (or from a made order on); returns the chain as PEM text."""
        order = order or self.order(*names)[1]
        self.prove(order, **who)
        done = self.finalize(order)
        assert done.status_code == 200 and done.json()["status"] == "valid", done.text
        certificate = self.post(done.json()["certificate"])
        assert certificate.status_code == 200, certificate.text
        assert names_of(split_chain(certificate.text)[0]) == sorted(one["value"] for one in order["identifiers"])
        return certificate.text


def httpreq(app, action, fqdn, value, user="lego", secret=None, session=None, **more):
    """One request at the httpreq door with a client's credential (user None: without)."""
    session = session or http_session(app.root_pem)
    return session.post(f"{app.url}/httpreq/{action}", json={"fqdn": fqdn, "value": value}, timeout=60,
                        auth=(user, secret or SECRET) if user else None, **more)


def assert_problem(reply, status, kind, *words):
    """Status, problem type, and a detail that is a sentence for a person (and holds `words`)."""
    assert reply.status_code == status, f"{reply.status_code} instead of {status}: {reply.text[:500]}"
    assert reply.headers["Content-Type"].split(";")[0] == "application/problem+json", reply.headers
    problem = reply.json()
    assert problem["type"] == ERROR + kind, problem
    assert_sentence(problem["detail"])
    for word in words:
        assert word in problem["detail"], problem
    return problem


def assert_sentence(text):
    """Words for a person: not a code, not a dump."""
    assert len(text.split()) >= 4 and text.isprintable(), f"not a sentence: {text!r}"
