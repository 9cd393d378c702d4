#!/usr/bin/python3
"""Writes the CSR vectors (../../fuzz/corpus/csr/*.der), their index and the account key they are judged against.

Run it by hand when a vector is added, with the new one's name (or the beginning of several) so that the others stay as they are;
the results are committed. Needs python3-cryptography. Every vector is judged against an order for svc.test and *.svc.test,
those that begin with ip- against one for 192.0.2.7 and 2001:db8::7 as well; min_rsa_bits 2048.
"""
import ipaddress
import math
import pathlib
import random
import secrets
import sys

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, ed448, padding, rsa

HERE = pathlib.Path(__file__).resolve().parent
OUT = HERE / "../../fuzz/corpus/csr"
NAMES = ["svc.test", "*.svc.test"]
ADDRESSES = ["192.0.2.7", "2001:db8::7"]
ONLY = sys.argv[1] if len(sys.argv) > 1 else ""


# DER -----------------------------------------------------------------------------------------------------------------
def tlv(tag, *parts):
    body = b"".join(parts)
    n = len(body)
    if n < 0x80:
        head = bytes([n])
    else:
        raw = n.to_bytes((n.bit_length() + 7) // 8, "big")
        head = bytes([0x80 | len(raw)]) + raw
    return bytes([tag]) + head + body


def seq(*parts):
    return tlv(0x30, *parts)


def integer(v):
    return tlv(0x02, v.to_bytes(v.bit_length() // 8 + 1, "big", signed=True))


def oid(text):
    arcs = [int(a) for a in text.split(".")]
    body = bytes([arcs[0] * 40 + arcs[1]])
    for arc in arcs[2:]:
        part = [arc & 0x7F]
        while arc > 0x7F:
            arc >>= 7
            part.insert(0, 0x80 | arc & 0x7F)
        body += bytes(part)
    return tlv(0x06, body)


def bits(raw):
    return tlv(0x03, b"\0", raw)


NULL = b"\x05\x00"
SIG = {
    "ec256": seq(oid("1.2.840.10045.4.3.2")), "ec384": seq(oid("1.2.840.10045.4.3.3")),
    "ec512": seq(oid("1.2.840.10045.4.3.4")), "ec1": seq(oid("1.2.840.10045.4.1")),
    "rsa256": seq(oid("1.2.840.113549.1.1.11"), NULL), "rsa384": seq(oid("1.2.840.113549.1.1.12"), NULL),
    "rsa512": seq(oid("1.2.840.113549.1.1.13"), NULL), "rsa1": seq(oid("1.2.840.113549.1.1.5"), NULL),
    "ed": seq(oid("1.3.101.112")),
}
HASH = {"256": hashes.SHA256, "384": hashes.SHA384, "512": hashes.SHA512, "1": hashes.SHA1}


def dns(name):
    return tlv(0x82, name if isinstance(name, bytes) else name.encode())


def extension(number, value, critical=False):
    return seq(oid(number), b"\x01\x01\xff" if critical else b"", tlv(0x04, value))


def san(names):
    return extension("2.5.29.17", seq(*[dns(n) for n in names]))


def attribute(*extensions, kind="1.2.840.113549.1.9.14"):
    return seq(oid(kind), tlv(0x31, seq(*extensions)))


def subject(*common_names):
    return seq(*[tlv(0x31, seq(oid("2.5.4.3"), tlv(0x0C, n.encode()))) for n in common_names])


def spki_of(key):
    return key.public_key().public_bytes(serialization.Encoding.DER,
                                         serialization.PublicFormat.SubjectPublicKeyInfo)


def sign(key, alg, data):
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(data, padding.PKCS1v15(), HASH[alg[3:]]())
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.sign(data, ec.ECDSA(HASH[alg[2:]]()))
    return key.sign(data)


def csr(key, alg="ec256", names=NAMES, cn=(), attrs=None, spki=None, version=0, sig_alg=None, signature=None):
    if attrs is None:
        attrs = [attribute(san(names))]
    info = seq(integer(version), subject(*cn), spki or spki_of(key), tlv(0xA0, *attrs))
    if signature is None:
        signature = sign(key, alg, info)
    return seq(info, sig_alg or SIG[alg], bits(signature))


def rsa_spki(n, e, params=NULL, modulus=None):
    return seq(seq(oid("1.2.840.113549.1.1.1"), params), bits(seq(modulus or integer(n), integer(e))))


def ec_spki(curve, point, params=None):
    return seq(seq(oid("1.2.840.10045.2.1"), params or oid(curve)), bits(point))


# Weak keys -----------------------------------------------------------------------------------------------------------
def is_prime(n):
    if any(n % p == 0 for p in (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31)):
        return False
    d, s = n - 1, 0
    while d % 2 == 0:
        d, s = d // 2, s + 1
    for _ in range(16):
        x = pow(random.randrange(2, n - 1), d, n)
        if x in (1, n - 1):
            continue
        for _ in range(s - 1):
            x = x * x % n
            if x == n - 1:
                break
        else:
            return False
    return True


def prime(bits_n):
    while True:
        p = secrets.randbits(bits_n) | 3 << (bits_n - 2) | 1
        if is_prime(p):
            return p


def roca_prime(bits_n):
    m = math.prod(p for p in range(2, 702) if all(p % d for d in range(2, p)))
    while True:
        k = secrets.randbits(bits_n - m.bit_length() - 1) | 3 << (bits_n - m.bit_length() - 2)
        p = k * m + pow(65537, secrets.randbelow(m), m)
        if is_prime(p):
            return p


def next_prime(n):
    n += 2
    while not is_prime(n):
        n += 2
    return n


# Vectors -------------------------------------------------------------------------------------------------------------
P256 = ec.generate_private_key(ec.SECP256R1())
OTHER = ec.generate_private_key(ec.SECP256R1())
ACCOUNT = ec.generate_private_key(ec.SECP256R1())
P384 = ec.generate_private_key(ec.SECP384R1())
RSA2048 = rsa.generate_private_key(65537, 2048)
VECTORS = []


def add(name, verdict, der, detail="-"):
    VECTORS.append((name, verdict, detail))
    if not name.startswith(ONLY):
        return
    (OUT / f"{name}.der").write_bytes(der)


def key_vectors():
    point = P256.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    n = RSA2048.public_key().public_numbers().n
    junk = b"\0" * 256
    add("good-p256", "ok", csr(P256))
    add("good-p384", "ok", csr(P384, "ec384"))
    add("good-p521", "ok", csr(ec.generate_private_key(ec.SECP521R1()), "ec512"))
    add("good-rsa2048", "ok", csr(RSA2048, "rsa256"))
    add("good-rsa3072", "ok", csr(rsa.generate_private_key(65537, 3072), "rsa384"))
    add("good-rsa4096", "ok", csr(rsa.generate_private_key(65537, 4096), "rsa512"))
    add("good-ed25519", "ok", csr(ed25519.Ed25519PrivateKey.generate(), "ed"))
    for bits_n in (1024, 2040, 4104):
        add(f"key-rsa{bits_n}", "key", csr(rsa.generate_private_key(65537, bits_n), "rsa256"), "bits")
    add("key-rsa-e3", "key", csr(rsa.generate_private_key(3, 2048), "rsa256"), "exponent")
    for label, e in (("even", 65538), ("one", 1), ("zero", 0), ("huge", (1 << 256) + 1), ("negative", -65537)):
        add(f"key-rsa-e-{label}", "key", csr(RSA2048, "rsa256", spki=rsa_spki(n, e), signature=junk),
            "RFC 3279" if label == "negative" else "exponent")
    weak = {
        "even": (n & ~1, "small factor"), "factor3": (prime(2046) * 3, "small factor"),
        "factor751": (prime(2040) * 751, "small factor"), "roca": (roca_prime(1024) * roca_prime(1024), "ROCA"),
        "prime": (prime(2048), "not a valid key"),
    }
    p = prime(1024)
    weak["close"] = (p * next_prime(p), "close")
    weak["square"] = (p * p, "close")
    for label, (modulus, why) in weak.items():
        # The last one reaches OpenSSL's own check only behind a valid signature: with n prime, phi is n - 1.
        signature = None if label == "prime" else junk
        add_weak(label, modulus, why, signature)
    add("key-rsa-negative", "key", csr(RSA2048, "rsa256", spki=rsa_spki(n, 65537, modulus=integer(-n)),
                                       signature=junk), "RFC 3279")
    add("key-rsa-no-null", "key", csr(RSA2048, "rsa256", spki=rsa_spki(n, 65537, params=b"")), "RFC 3279")
    add("key-rsa-pss", "key", csr(RSA2048, "rsa256", spki=spki_of(RSA2048).replace(
        oid("1.2.840.113549.1.1.1"), oid("1.2.840.113549.1.1.10"))), "type is not supported")
    for label, curve in (("p224", ec.SECP224R1()), ("secp256k1", ec.SECP256K1()), ("brainpool", ec.BrainpoolP256R1())):
        add(f"key-{label}", "key", csr(ec.generate_private_key(curve)), "curve is not supported")
    explicit = seq(integer(1), seq(oid("1.2.840.10045.1.1"), integer(23)),
                   seq(tlv(4, b"\1"), tlv(4, b"\1")), tlv(4, b"\3\0\1"), integer(29), integer(1))
    add("key-explicit-curve", "key", csr(P256, spki=ec_spki(None, point, explicit)), "spells out")
    add("key-implicit-curve", "key", csr(P256, spki=ec_spki(None, point, NULL)), "spells out")
    add("key-compressed", "key", csr(P256, spki=ec_spki("1.2.840.10045.3.1.7", bytes([2 + point[64] % 2]) + point[1:33])),
        "uncompressed")
    add("key-infinity", "key", csr(P256, spki=ec_spki("1.2.840.10045.3.1.7", b"\0")), "uncompressed")
    add("key-off-curve", "key", csr(P256, spki=ec_spki("1.2.840.10045.3.1.7", point[:64] + bytes([point[64] ^ 1]))),
        "not a valid key")
    add("key-point-of-other-curve", "key", csr(P256, spki=ec_spki("1.3.132.0.34", point)), "uncompressed")
    add("key-ed448", "key", csr(ed448.Ed448PrivateKey.generate(), "ed"), "type is not supported")
    add("key-ed25519-params", "key", csr(P256, spki=seq(seq(oid("1.3.101.112"), NULL), bits(b"\1" * 32))), "RFC 8410")
    add("key-ed25519-short", "key", csr(P256, spki=seq(seq(oid("1.3.101.112")), bits(b"\1" * 31))), "RFC 8410")
    add("key-dsa", "key", csr(P256, spki=spki_of(dsa.generate_private_key(2048))), "type is not supported")
    add("key-no-algorithm", "key", csr(P256, spki=seq(seq(), bits(point))), "DER")
    add("key-extra-field", "key", csr(P256, spki=seq(seq(oid("1.2.840.10045.2.1"), oid("1.2.840.10045.3.1.7")),
                                                     bits(point), NULL)), "DER")
    add("key-account", "key", csr(ACCOUNT), "account's own key")


def add_weak(label, modulus, why, signature):
    if signature is None:
        info = seq(integer(0), subject(), rsa_spki(modulus, 65537), tlv(0xA0, attribute(san(NAMES))))
        digest = hashes.Hash(hashes.SHA256())
        digest.update(info)
        em = seq(seq(oid("2.16.840.1.101.3.4.2.1"), NULL), tlv(4, digest.finalize()))
        em = b"\0\1" + b"\xff" * (256 - 3 - len(em)) + b"\0" + em
        raw = pow(int.from_bytes(em, "big"), pow(65537, -1, modulus - 1), modulus)
        signature = raw.to_bytes(256, "big")
    add(f"key-rsa-{label}", "key", csr(None, "rsa256", spki=rsa_spki(modulus, 65537), signature=signature), why)


def name_vectors():
    must_staple = extension("1.3.6.1.5.5.7.1.24", seq(integer(5)))
    add("good-upper-case", "ok", csr(P256, names=["*.SVC.test", "Svc.Test"]))
    add("good-duplicates", "ok", csr(P256, names=NAMES * 3, cn=["svc.test"]))
    add("good-cn-only", "ok", csr(P256, cn=NAMES, attrs=[]))
    add("good-cn-and-san", "ok", csr(P256, names=["*.svc.test"], cn=["svc.test"]))
    add("good-empty-cn", "ok", csr(P256, cn=[""]))
    add("good-version2", "ok", csr(P256, version=2))
    add("good-microsoft-attribute", "ok", csr(P256, attrs=[attribute(san(NAMES), kind="1.3.6.1.4.1.311.2.1.14")]))
    password = seq(oid("1.2.840.113549.1.9.7"), tlv(0x31, tlv(0x0C, b"secret")))
    add("good-challenge-password", "ok", csr(P256, attrs=[password, attribute(san(NAMES))]))
    add("good-other-extensions", "ok", csr(P256, attrs=[attribute(
        must_staple, extension("2.5.29.15", b"\x03\x02\x05\xa0", True), extension("2.5.29.19", seq(), True), san(NAMES))]))
    add("csr-ca-true", "csr", csr(P256, attrs=[attribute(extension("2.5.29.19", seq(b"\1\1\xff")), san(NAMES))]), "CA:TRUE")
    add("csr-broken-constraints", "csr", csr(P256, attrs=[attribute(extension("2.5.29.19", b"\x30\x05"), san(NAMES))]),
        "broken")
    add("csr-no-names", "csr", csr(P256, attrs=[]), "names no host")
    add("csr-empty-san", "csr", csr(P256, names=[]), "names no host")
    add("csr-missing-name", "csr", csr(P256, names=["svc.test"]), "does not ask for it")
    add("csr-extra-name", "csr", csr(P256, names=NAMES + ["www.svc.test"]), "not in the order")
    add("csr-foreign-cn", "csr", csr(P256, cn=["evil.example"]), "not in the order")
    add("csr-cn-sentence", "csr", csr(P256, cn=["My \"Server\"\n"]), "not a DNS name")
    for label, text in (("nul", b"svc.test\0.evil.example"), ("dot", b"svc.test."), ("star", b"*"), ("two-stars", b"*.*.svc.test"),
                        ("underscore", b"_x.svc.test"), ("empty", b""), ("address", b"10.0.0.1"), ("utf8", "sv\u00e7.test".encode()),
                        ("long", b"a" * 300), ("space", b"svc.test ")):
        add(f"csr-name-{label}", "csr", csr(P256, names=NAMES + [text]), "not a DNS name")
    for label, item in (("ip", tlv(0x87, b"\x0a\0\0\1")), ("email", tlv(0x81, b"a@svc.test")), ("uri", tlv(0x86, b"https://svc.test")),
                        ("directory", tlv(0xA4, subject("svc.test")))):
        value = seq(*[dns(n) for n in NAMES], item)
        add(f"csr-san-{label}", "csr", csr(P256, attrs=[attribute(extension("2.5.29.17", value))]),
            "not in the order" if label == "ip" else "neither a DNS name nor")
    add("csr-san-twice", "csr", csr(P256, attrs=[attribute(san(NAMES), san(["www.svc.test"]))]), "twice")
    add("csr-san-trailing", "csr", csr(P256, attrs=[attribute(extension("2.5.29.17", seq(*[dns(n) for n in NAMES]) + b"\0"))]),
        "broken")
    add("csr-san-not-sequence", "csr", csr(P256, attrs=[attribute(extension("2.5.29.17", NULL))]), "broken")
    add("csr-attribute-twice", "csr", csr(P256, attrs=[attribute(san(NAMES)), attribute(san(["www.svc.test"]))]), "twice")
    add("csr-attribute-broken", "csr", csr(P256, attrs=[seq(oid("1.2.840.113549.1.9.14"), tlv(0x31, NULL))]), "broken")
    add("csr-attribute-empty", "csr", csr(P256, attrs=[seq(oid("1.2.840.113549.1.9.14"), tlv(0x31))]), "broken")
    add("csr-many-names", "csr", csr(P256, names=[f"h{i}.svc.test" for i in range(400)]), "at most")


def address_vectors():
    """Against the order with addresses."""
    def general_names(addresses, names=NAMES):
        return attribute(extension("2.5.29.17", seq(*[dns(n) for n in names], *[tlv(0x87, a) for a in addresses])))

    packed = [ipaddress.ip_address(a).packed for a in ADDRESSES]
    four, six = packed
    mapped = b"\0" * 10 + b"\xff\xff" + four
    add("ip-good", "ok", csr(P256, attrs=[general_names(packed)]))
    add("ip-good-repeated", "ok", csr(P256, attrs=[general_names(packed * 2)], cn=ADDRESSES[:1]))
    add("ip-good-cn-only", "ok", csr(P256, names=NAMES, cn=ADDRESSES))
    add("ip-good-cn-v6", "ok", csr(P256, attrs=[general_names(packed)], cn=ADDRESSES[1:]))
    add("ip-v4-missing", "csr", csr(P256, attrs=[general_names([six])]), "contains \"192.0.2.7\"")
    add("ip-v6-missing", "csr", csr(P256, attrs=[general_names([four])]), "contains \"2001:db8::7\"")
    add("ip-name-missing", "csr", csr(P256, attrs=[general_names(packed, NAMES[:1])]), "contains \"*.svc.test\"")
    add("ip-foreign-v4", "csr", csr(P256, attrs=[general_names(packed + [b"\x0a\0\0\1"])]), "\"10.0.0.1\", which is not in")
    add("ip-foreign-v6", "csr", csr(P256, attrs=[general_names(packed + [b"\0" * 15 + b"\1"])]), "\"::1\", which is not in")
    add("ip-unspecified", "csr", csr(P256, attrs=[general_names(packed + [b"\0" * 4])]), "\"0.0.0.0\", which is not in")
    add("ip-mapped", "csr", csr(P256, attrs=[general_names([mapped, six])]), "mapped into IPv6")
    add("ip-mapped-too", "csr", csr(P256, attrs=[general_names(packed + [mapped])]), "mapped into IPv6")
    for n in (0, 1, 3, 5, 8, 15, 17, 32):
        add(f"ip-{n}-octets", "csr", csr(P256, attrs=[general_names(packed + [(six * 2)[:n]])]), f"IP address of {n} octets")
    add("ip-text-as-octets", "csr", csr(P256, attrs=[general_names([b"192.0.2.7", six])]), "IP address of 9 octets")
    add("ip-as-dns-name", "csr", csr(P256, names=NAMES + ADDRESSES), "not a DNS name")
    add("ip-cn-not-canonical", "csr", csr(P256, attrs=[general_names(packed)], cn=["2001:DB8::7"]), "not a DNS name")
    add("ip-cn-long-form", "csr", csr(P256, attrs=[general_names(packed)], cn=["2001:db8:0:0:0:0:0:7"]), "not a DNS name")
    add("ip-cn-mapped", "csr", csr(P256, attrs=[general_names(packed)], cn=["::ffff:192.0.2.7"]), "not a DNS name")
    add("ip-cn-foreign", "csr", csr(P256, attrs=[general_names(packed)], cn=["192.0.2.8"]), "\"192.0.2.8\", which is not in")
    add("ip-cn-zone", "csr", csr(P256, attrs=[general_names(packed)], cn=["fe80::1%eth0"]), "not a DNS name")


def form_vectors():
    good = csr(P256)
    signed = sign(P256, "ec256", b"something else")
    add("csr-empty", "csr", b"", "PKCS#10")
    add("csr-one-byte", "csr", b"\x30", "PKCS#10")
    add("csr-null", "csr", NULL, "PKCS#10")
    add("csr-empty-sequence", "csr", seq(), "PKCS#10")
    add("csr-truncated", "csr", good[:-1], "PKCS#10")
    add("csr-half", "csr", good[:len(good) // 2], "PKCS#10")
    add("csr-trailing", "csr", good + b"\0", "PKCS#10")
    add("csr-pem", "csr", b"-----BEGIN CERTIFICATE REQUEST-----\nMIIB\n", "PKCS#10")
    add("csr-indefinite", "csr", b"\x30\x80" + good[4 if good[1] == 0x82 else 3:] + b"\0\0", "PKCS#10")
    body = good[4:] if good[1] == 0x82 else good[3:]
    add("csr-long-length", "csr", b"\x30\x83\0" + len(body).to_bytes(2, "big") + body, "PKCS#10")
    nested = NULL
    for _ in range(200):
        nested = seq(nested)
    add("csr-nested", "csr", nested, "PKCS#10")
    add("csr-length-4gib", "csr", b"\x30\x84\xff\xff\xff\xff" + body, "PKCS#10")
    add("csr-version9", "csr", csr(P256, version=9), "PKCS#10")
    add("csr-version-negative", "csr", csr(P256, version=-1), "PKCS#10")
    add("csr-too-long", "csr", csr(P256, names=["a" * 60 + f"{i}.svc.test" for i in range(500)]), "PKCS#10")
    add("csr-no-attributes", "csr", seq(seq(integer(0), subject(), spki_of(P256)), SIG["ec256"], bits(signed)), "names no host")
    add("csr-no-signature", "csr", seq(seq(integer(0), subject(), spki_of(P256), tlv(0xA0)), SIG["ec256"]), "PKCS#10")
    add("csr-bad-signature", "csr", csr(P256, signature=signed), "does not fit")
    add("csr-signed-by-other", "csr", csr(OTHER, spki=spki_of(P256)), "does not fit")
    add("csr-empty-signature", "csr", csr(P256, signature=b""), "does not fit")
    add("csr-signature-type", "csr", csr(P256, sig_alg=SIG["rsa256"]), "does not fit")
    add("csr-sha1", "csr", csr(RSA2048, "rsa1"), "signature algorithm")
    add("csr-ecdsa-sha1", "csr", csr(P256, "ec1"), "signature algorithm")
    add("csr-unknown-signature", "csr", csr(P256, sig_alg=seq(oid("1.2.3.4"))), "signature algorithm")


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    for old in OUT.glob(f"{ONLY}*.der"):
        old.unlink()
    key_vectors()
    name_vectors()
    address_vectors()
    form_vectors()
    if ONLY in ("", "key-account"):
        (HERE / "account.spki").write_bytes(spki_of(ACCOUNT))
    lines = ["# Written by make.py: vector | verdict (ok, csr = badCSR, key = badPublicKey) | text in the refusal"]
    lines += [" | ".join(v) for v in sorted(VECTORS)]
    (HERE / "index.txt").write_text("\n".join(lines) + "\n")


main()
