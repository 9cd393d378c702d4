"""Running other people's clients, and judging what they were given."""
import pathlib
import re
import subprocess
import threading

import dns.flags
import dns.message
import dns.query
import dns.rdatatype

from appliance import SECRET, environment
from jws_client import names_of, split_chain


def run(*command, env=None, expect=0, timeout=180, **more):
    """Run a program to its end with a known environment; returns it with its output as `text`."""
    done = subprocess.run([str(part) for part in command], env=env or environment(), stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout, check=False, **more)
    done.text = done.stdout
    if expect is not None:
        assert done.returncode == expect, f"{command} ended with {done.returncode}:\n{done.text}"
    return done


def openssl_verify(app, chain_path):
    """`openssl verify` of the first certificate with the rest of the file as intermediates, below our root."""
    done = run("openssl", "verify", "-x509_strict", "-CAfile", app.root_pem, "-untrusted", chain_path, chain_path)
    assert done.text.strip().endswith("OK"), done.text


def assert_certificate(app, chain_path, *names):
    chain_path = pathlib.Path(chain_path)
    openssl_verify(app, chain_path)
    chain = split_chain(chain_path.read_text(encoding="ascii"))
    assert names_of(chain[0]) == sorted(names)
    assert len(chain) >= 2, "the answer holds no intermediate"
    return chain[0]


def client_environment(app, **more):
    """What every Go client needs: the root for ACME and the root for the API (two different options in lego)."""
    return environment(LEGO_CA_CERTIFICATES=app.root_pem, SSL_CERT_FILE=app.root_pem, **more)


def httpreq_environment(app, user="lego", secret=SECRET, **more):
    more.setdefault("HTTPREQ_POLLING_INTERVAL", "1")
    more.setdefault("HTTPREQ_PROPAGATION_TIMEOUT", "30")
    return client_environment(app, HTTPREQ_ENDPOINT=f"{app.url}/httpreq", HTTPREQ_USERNAME=user, HTTPREQ_PASSWORD=secret, **more)


def lego(app, path, names, *action, env, expect=0):
    """Debian's lego with all its propagation checks on."""
    domains = [part for name in names for part in ("--domains", name)]
    return run("lego", "--accept-tos", "--email", "admin@svc.test", "--server", app.directory_url, "--path", path,
               "--dns", "httpreq", *domains, *(action or ("run",)), env=env, expect=expect)


def ask(name, kind, server="127.0.0.1", tcp=False, **options):
    """One DNS question straight to a server, recursion not desired."""
    query = dns.message.make_query(name, kind, **options)
    query.flags &= ~dns.flags.RD
    send = dns.query.tcp if tcp else dns.query.udp
    return send(query, server, timeout=10)


def txt_values(name, server="127.0.0.1", **options):
    """The TXT values that a question for `name` brings, CNAMEs included in the same answer followed."""
    answer = ask(name, "TXT", server, **options)
    return sorted(string.decode() for rrset in answer.answer if rrset.rdtype == dns.rdatatype.TXT
                  for rdata in rrset for string in rdata.strings)


def fenced_block(text, marker):
    """The fenced block that follows `<!-- marker -->` in a Markdown text."""
    found = re.search(r"<!-- " + re.escape(marker) + r" -->\s*```[a-z]*\n(.*?)```", text, re.DOTALL)
    assert found, f"no fenced block marked {marker}"
    return found.group(1)


def run_all(*functions):
    """Run every function in a thread of its own; the first exception is the test's."""
    errors = []

    def guarded(function):
        try:
            function()
        except BaseException as error:  # pylint: disable=broad-except
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(function,)) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


class Race:
    """Everybody starts at the same moment; every answer is kept, and none may be ours to blame."""

    def __init__(self):
        self.replies = []

    def run(self, *actions):
        barrier = threading.Barrier(len(actions))

        def begin(number, action):
            barrier.wait()
            self.replies.append((number, action()))

        run_all(*(lambda number=number, action=action: begin(number, action) for number, action in enumerate(actions)))
        for _, reply in self.replies:
            assert reply.status_code < 500, reply.text
        return [reply for _, reply in sorted(self.replies, key=lambda one: one[0])]
