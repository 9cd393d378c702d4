"""Resolvers that time out, lie, truncate and talk nonsense; CNAMEs that loop or lead into our own zones. RFC 5452."""
import contextlib
import hashlib
import struct

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from appliance import running
from hostile import (RESOLVER, SETTINGS, Case, Dns, Meanwhile, Outcome, Tcp, Webroot, all_at_once, failing, many_addresses, refusing, silent,
                     truncating)
from jws_client import b64, httpreq
from namespace import INGRESS

WEB = "10.66.0.80"
EVIL = "10.66.0.66"


# --- scripts ----------------------------------------------------------------------------------------------------------------


def with_id(answer, number):
    answer.id = number
    return answer


def lying_id(question):
    return with_id(question.reply([EVIL], kind="A"), question.message.id ^ 1)


def lying_name(question):
    """The right id, an answer to another question."""
    other = dns.message.make_query("else.corp.test", question.kind)
    other.id = question.message.id
    answer = dns.message.make_response(other)
    answer.answer.append(dns.rrset.from_text("else.corp.test.", 1, "IN", "A", EVIL))
    return answer


def many_lies(question):
    return [lying_id(question) for _ in range(200)]


def lie_then_truth(question):
    if question.kind != "A":
        return question.reply()
    return [lying_id(question), lying_name(question), question.reply([WEB])]


def other_owner(question):
    """Records nobody asked for."""
    return question.reply([("else.corp.test", "A", EVIL)])


def garbage(question):
    return struct.pack("!H", question.message.id) + b"\x80\x00" + b"\xff" * 60


def compression_loop(question):
    """A name that points at itself."""
    head = struct.pack("!HHHHHH", question.message.id, 0x8180, 1, 1, 0, 0)
    return head + b"\xc0\x0c" + struct.pack("!HH", 1, 1) + b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 1, 4) + b"\x0a\x42\x00\x42"


def two_questions(question):
    answer = question.reply([EVIL], kind="A")
    answer.question.append(answer.question[0])
    return answer.to_wire()


def odd_length(question):
    """An A record of three octets."""
    wire = question.reply(["1.2.3.4"], kind="A").to_wire()
    return wire[:-6] + b"\0\3\1\2\3" if question.kind == "A" else question.reply()


def empty(_question):
    return b""


def cut_then_whole(question):
    """Cut over UDP, whole over TCP."""
    if question.kind != "A":
        return question.reply()
    return question.reply([WEB]) if question.is_tcp else truncating(question)


def cut_then_silent(question):
    return None if question.is_tcp else truncating(question)


def cut_then_closed(question):
    return b"" if question.is_tcp else truncating(question)


def huge(question):
    if not question.is_tcp:
        return truncating(question)
    return question.reply([f"10.66.201.{number % 250}" for number in range(3000)] if question.kind == "A" else [])


def alias(target, *more):
    """A CNAME, and more records in the same answer."""
    return lambda question: question.reply([(question.name, "CNAME", target + "."), *more])


ADDRESS_CASES = {
    "silent": (silent, Case("dns")),
    "servfail": (failing, Case("dns")),
    "refused": (refusing, Case("dns")),
    "nxdomain": (lambda question: question.reply(rcode=dns.rcode.NXDOMAIN), Case("dns")),
    "nodata": (lambda question: question.reply(), Case("dns")),
    "other-id": (lying_id, Case("dns")),
    "other-name": (lying_name, Case("dns")),
    "many-lies": (many_lies, Case("dns")),
    "other-owner": (other_owner, Case("dns")),
    "garbage": (garbage, Case("dns")),
    "compression-loop": (compression_loop, Case("dns")),
    "two-questions": (two_questions, Case("dns")),
    "odd-length": (odd_length, Case("dns")),
    "empty": (empty, Case("dns")),
    "truncated": (truncating, Case("dns")),
    "truncated-silent": (cut_then_silent, Case("dns")),
    "truncated-closed": (cut_then_closed, Case("dns")),
    "loop": (alias("loop.corp.test"), Case("dns")),
    "loop-of-two": (alias("loop-back.corp.test"), Case("dns")),
    "endless-chain": (None, Case("dns")),
    "to-nobody": (alias("nobody.corp.test"), Case("dns")),
    "many-addresses": (lambda question: question.reply([f"10.66.201.{number}" for number in range(60)] if question.kind == "A" else []),
                       Case("connection", "refused")),
    "huge": (huge, Case("connection", "refused")),
    # The resolver has no say about our own names: www.svc.test is at the ingress, where nothing listens.
    "into-our-zone": (alias("www.svc.test", ("www.svc.test", "A", EVIL)), Case("connection", f"{INGRESS}:80")),
}
ADDRESS_GOOD = {"lie-then-truth": lie_then_truth, "truncated-whole": cut_then_whole, "chain": None}


TXT_CASES = {
    "silent": (lambda world, name, digest: silent, Case("dns", RESOLVER)),
    "servfail": (lambda world, name, digest: failing, Case("dns", "SERVFAIL")),
    "nxdomain": (lambda world, name, digest: lambda question: question.reply(rcode=dns.rcode.NXDOMAIN), Case("dns", "NXDOMAIN")),
    "nodata": (lambda world, name, digest: lambda question: question.reply(), Case("incorrectResponse", "client cname")),
    "other-value": (lambda world, name, digest: lambda question: question.reply([b64(b"x" * 32)]), Case("incorrectResponse")),
    "longer-value": (lambda world, name, digest: lambda question: question.reply([digest + "="]), Case("incorrectResponse")),
    "shorter-value": (lambda world, name, digest: lambda question: question.reply([digest[:-1]]), Case("incorrectResponse")),
    "two-halves-in-two-records": (lambda world, name, digest: lambda question: question.reply([digest[:20], digest[20:]]), Case("incorrectResponse")),
    "other-owner": (lambda world, name, digest: lambda question: question.reply([("else.corp.test", "TXT", digest)]), Case("incorrectResponse")),
    "other-id": (lambda world, name, digest: lambda question: with_id(question.reply([digest]), question.message.id ^ 1), Case("dns")),
    # Our delegate zone is ours: what the resolver says about it counts nothing.
    "lie-about-delegate": (lambda world, name, digest: alias(f"{name}.acme.svc.test", (f"{name}.acme.svc.test", "TXT", digest)),
                           Case("incorrectResponse")),
    "loop": (lambda world, name, digest: alias(f"_acme-challenge.{name}"), Case("dns")),
}
TXT_GOOD = {
    "direct": lambda world, name, digest: lambda question: question.reply([digest]),
    "among-others": lambda world, name, digest: lambda question: question.reply(["v=spf1 -all", b64(b"x" * 32), digest]),
    "two-strings": lambda world, name, digest: lambda question: question.reply([f'"{digest[:20]}" "{digest[20:]}"']),
    "through-tcp": lambda world, name, digest: lambda question: question.reply([digest]) if question.is_tcp else truncating(question),
    "delegated": lambda world, name, digest: world.delegated(name, digest),
}


class World:
    def __init__(self, app, resolver, stack):
        self.app, self.resolver, self.webroot = app, resolver, Webroot()
        stack.enter_context(Tcp(WEB, 80, self.webroot))
        stack.enter_context(Tcp(EVIL, 80, self.webroot))  # it would answer rightly: whoever comes here was misled
        for name, (script, _) in ADDRESS_CASES.items():
            resolver.scripts[f"{name}.corp.test"] = script
        for name, script in ADDRESS_GOOD.items():
            resolver.scripts[f"{name}.corp.test"] = script
        resolver.scripts["loop-back.corp.test"] = alias("loop-of-two.corp.test")
        self.chain("endless-chain", 40)
        self.chain("chain", 12)

    def chain(self, name, length):
        names = [f"{name}.corp.test", *(f"{name}-{number}.corp.test" for number in range(length))]
        for one, following in zip(names, names[1:]):
            self.resolver.put(one, CNAME=[following + "."])
        self.resolver.put(names[-1], WEB)

    def delegated(self, name, digest):
        """The one CNAME that `client cname` prints, and the value through our own door."""
        assert httpreq(self.app, "present", f"_acme-challenge.{name}.", digest).status_code == 200
        return alias(f"{name}.acme.svc.test")

    def prepare_txt(self, make):
        def put(acme, challenge, authorization):
            name = authorization["identifier"]["value"]
            digest = b64(hashlib.sha256(acme.key_authorization(challenge).encode()).digest())
            self.resolver.scripts[f"_acme-challenge.{name}"] = make(self, name, digest)
        return put


@pytest.fixture(scope="module")
def app(resolv_conf, tmp_path_factory):
    many_addresses()
    settings = {**SETTINGS, "zones": [{"name": "svc.test", "ingress": [INGRESS]}, {"name": "corp.test", "serve": False}],
                "resolvers": ["127.0.0.1:53", "10.66.0.9:53", f"{RESOLVER}:53"]}  # ourselves, nobody, and the one that matters
    clients = [{"name": "lego", "secret": "e2eSecretOfTheClientLego0123456789abcdefghij", "names": ["*.svc.test", "*.corp.test"]}]
    with running(tmp_path_factory.mktemp("appliance"), **settings, clients=clients) as one:
        yield one


@pytest.fixture(scope="module")
def world(app):
    with contextlib.ExitStack() as stack:
        yield World(app, stack.enter_context(Dns()), stack)


@pytest.fixture(scope="module")
def meanwhile(app, world):
    return Meanwhile(app, "silent.corp.test", "dns-01")


@pytest.fixture(scope="module")
def outcomes(app, world, meanwhile):
    def by_address(name):
        return lambda: Outcome(app, f"{name}.corp.test", "http-01", lambda acme, challenge, _: world.webroot.put(acme, challenge))

    def by_txt(name, make):
        return lambda: Outcome(app, f"txt-{name}.corp.test", "dns-01", world.prepare_txt(make))

    attempts = {("A", name): by_address(name) for name in (*ADDRESS_CASES, *ADDRESS_GOOD)}
    attempts.update({("TXT", name): by_txt(name, make) for name, (make, _) in TXT_CASES.items()})
    attempts.update({("TXT", name): by_txt(name, make) for name, make in TXT_GOOD.items()})
    return all_at_once(attempts, meanwhile)


@pytest.mark.parametrize("name", ADDRESS_CASES)
def test_addresses_from_a_hostile_resolver(outcomes, name):
    outcomes[("A", name)].assert_invalid(ADDRESS_CASES[name][1])


@pytest.mark.parametrize("name", ADDRESS_GOOD)
def test_addresses_in_spite_of_it(outcomes, name):
    outcomes[("A", name)].assert_valid()


@pytest.mark.parametrize("name", TXT_CASES)
def test_values_from_a_hostile_resolver(outcomes, name):
    outcomes[("TXT", name)].assert_invalid(TXT_CASES[name][1])


@pytest.mark.parametrize("name", TXT_GOOD)
def test_values_in_spite_of_it(outcomes, name):
    outcomes[("TXT", name)].assert_valid()


def test_others_were_served_meanwhile(outcomes, meanwhile):
    assert outcomes and meanwhile.issued >= 1


def test_no_request_failed_on_our_side(outcomes, app):
    assert outcomes
    assert "status=500" not in app.log() and "level=error" not in app.log()
