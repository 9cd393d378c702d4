"""The newest clients, which tests/run.sh --clients installs: drivers around ACME libraries (tests/drivers), Caddy, Traefik.

Every scenario takes a server (clients_topology.py): the same runs against ours and against Pebble.
"""
import json
import shutil
import time

from appliance import environment
from traefik import ETC, Traefik

PROGRAMS = ("acmez", "xcrypto", "instant")
CHALLENGES = ("http-01", "tls-alpn-01")
CADDYFILE = """
{{
    email admin@svc.test
    acme_ca {server.directory_url}
    acme_ca_root {server.root_pem}
    {options}
}}
{sites} {{
    {tls}
    respond "it is here"
}}
"""
# What works for every name: Caddy gives names below home.arpa, .internal and .local and private addresses certificates of its own CA unless
# the site itself says otherwise.
CADDY_SITE = """
{sites} {{
    tls {{
        ca {server.directory_url}
        ca_root {server.root_pem}
        {more}
    }}
    respond "it is here"
}}
"""
# Within `tls`: one issuer with a DNS provider, in the words of Caddy's modules rfc2136 and acmedns.
CADDY_DNS = "tls {{\n issuer acme {{\n {provider}\n {resolvers}\n }}\n }}"
CADDY_UPDATE = "dns rfc2136 {{\n key_name {name}\n key_alg {algorithm}\n key {secret}\n server {address}:53\n }}"
CADDY_POST = "dns acmedns {{\n username {username}\n password {password}\n subdomain {name}\n server_url {url}\n }}"
TRAEFIK = """
entryPoints:
  web: {{address: ":80"}}
  websecure:
    address: ":443"
    http: {{tls: {{certResolver: bailiwick, domains: {domains}}}}}
certificatesResolvers:
  bailiwick:
    acme:
      caServer: {server.directory_url}
      email: admin@svc.test
      storage: /etc/traefik/acme.json
      keyType: EC256
      {challenge}
      {eab}
providers:
  file: {{directory: /etc/traefik/dynamic}}
log: {{level: DEBUG}}
"""


class Report:
    """What a driver did: one entry for each step, in order."""

    def __init__(self, entries):
        self.entries = entries

    def __getitem__(self, name):
        """The last entry of that step, which must have worked."""
        found = self.last(name)
        assert "error" not in found, f"{name}: {found}\nall of it: {self.entries}"
        return found

    def last(self, name):
        return [entry for entry in self.entries if entry["step"] == name][-1]

    def all_worked(self):
        failed = [entry for entry in self.entries if "error" in entry]
        assert not failed, f"{failed}\nall of it: {self.entries}"
        return self

    def problem(self, name):
        """Status and short type of the problem that ended a step."""
        found = self.last(name)
        assert "problem" in found, f"{name}: {found}\nall of it: {self.entries}"
        return found["problem"]["status"], found["problem"]["type"].removeprefix("urn:ietf:params:acme:error:")


class Driver:
    """One of tests/drivers on the client's machine; each run is a new account."""

    def __init__(self, program, machine, server, clients_dir, directory):
        self.path, self.machine, self.server, self.directory = clients_dir / "bin" / program, machine, server, directory

    def run(self, *steps, names, challenge, **more):
        config = {"directory": self.server.directory_url, "root": self.server.root_pem, "names": list(names), "challenge": challenge,
                  "out": str(self.directory), "steps": list(steps), **more}
        return Report(json.loads(self.machine.run(self.path, json.dumps(config)).text))

    @property
    def chain(self):
        return self.directory / "chain.pem"


def eab(server, **changes):
    """The external account for a driver."""
    kid, key = server.eab
    return {"kid": kid, "key": key, **changes}


class Caddy:
    """One installation: a Caddyfile and a home directory that starts empty."""

    def __init__(self, machine, server, clients_dir, directory, sites, template=CADDYFILE, **parts):
        self.machine, self.path, self.home, self.file = machine, clients_dir / "bin" / "caddy", directory / "home", directory / "Caddyfile"
        self.home.mkdir()
        given = {"options": "", "tls": "", "more": "", **parts}
        self.file.write_text(template.format(server=server, sites=", ".join(sites), **given), encoding="utf-8")

    def running(self, **more):
        return self.machine.spawn(self.path, "run", "--config", self.file, "--adapter", "caddyfile", port=443,
                                  env=environment(HOME=str(self.home), XDG_DATA_HOME=str(self.home), XDG_CONFIG_HOME=str(self.home), **more))

    @staticmethod
    def wait_for_words(words, log, deadline_s=60):
        """Wait until its log has them."""
        deadline = time.monotonic() + deadline_s
        while words not in log.read_text(encoding="utf-8"):
            assert time.monotonic() < deadline, log.read_text(encoding="utf-8")[-6000:]
            time.sleep(0.25)

    def stored(self, ending):
        """The one file with that ending in its storage of certificates."""
        found = list((self.home / "caddy" / "certificates").rglob(f"*{ending}"))
        assert len(found) == 1, found
        return found[0]


def caddy_eab(server):
    kid, key = server.eab
    return f"acme_eab {{\n key_id {kid}\n mac_key {key}\n}}"


def make_traefik(machine, server, clients_dir, directory, domains, challenge, with_eab=False):
    """Traefik with an empty /etc/traefik, not started."""
    if ETC.exists():
        shutil.rmtree(ETC)
    kid, key = server.eab
    static = TRAEFIK.format(server=server, domains=json.dumps(domains), challenge=challenge,
                            eab=f"eab: {{kid: {kid}, hmacEncoded: {key}}}" if with_eab else "")
    return Traefik(clients_dir / "bin" / "traefik", machine.host, server, static, {"SSL_CERT_FILE": str(ETC / "root.pem")}, directory)


class Certbot:
    """One installation with its own directories; the root is given as certbot's users give it."""

    def __init__(self, machine, server, clients_dir, directory):
        self.machine, self.server, self.path, self.directory = machine, server, clients_dir / "bin" / "certbot", directory

    def run(self, *command, expect=0):
        places = [part for kind in ("config", "work", "logs") for part in (f"--{kind}-dir", self.directory / kind)]
        return self.machine.run(self.path, *command, "--non-interactive", "--server", self.server.directory_url, *places, expect=expect,
                                env=environment(REQUESTS_CA_BUNDLE=self.server.root_pem)).text

    def obtain(self, *options, expect=0):
        """With certbot's own web server on port 80."""
        return self.run("certonly", "--standalone", "--agree-tos", "-m", "admin@svc.test", *options, expect=expect)

    def live(self, name, file="fullchain.pem"):
        return self.directory / "config" / "live" / name / file
