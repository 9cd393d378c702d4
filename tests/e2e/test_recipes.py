"""The recipes of docs/clients.md, block by block as they stand there, each on a machine that nobody has used and that knows nothing of us."""
import pathlib
import signal

import pytest

from appliance import environment, running
from jws_client import names_of
from namespace import CA_ADDRESS, Host, write_resolv_conf
from recipes import CONFIGURATION, Desk, block, scratch_system
from traefik import Traefik

NAME = "www.svc.test"
WILDCARD = ("*.svc.test", "svc.test")
LIVE = "/etc/letsencrypt/live"
APACHE_MODULES = ("mpm_event", "authz_core", "ssl", "md", "socache_shmcb")
APACHE = """
{modules}
ServerRoot {base}
DefaultRuntimeDir {base}
PidFile {base}/apache.pid
ErrorLog /dev/stderr
LogLevel info md:debug
Listen 80
Listen 443
User www-data
Group www-data
ServerName host.svc.test
DocumentRoot /var/www/html
MDStoreDir {base}/md
Include {included}
"""


@pytest.fixture(scope="module")
def app(resolv_conf, tmp_path_factory):
    write_resolv_conf(resolv_conf, CA_ADDRESS)
    with running(tmp_path_factory.mktemp("appliance"), **CONFIGURATION) as one:
        one.kind = "bailiwick"
        yield one


@pytest.fixture(scope="module")
def host(app):  # pylint: disable=unused-argument,redefined-outer-name
    with Host() as one:
        yield one


@pytest.fixture
def desk(host, app, resolv_conf, tmp_path):  # pylint: disable=redefined-outer-name
    with scratch_system(tmp_path, resolv_conf):
        one = Desk(host, app, tmp_path)
        one.run("root")
        yield one


def test_the_root_as_the_document_fetches_it(desk):
    shown = desk.run("root").text
    fingerprint = next(line.partition("=")[2] for line in shown.splitlines() if "Fingerprint=" in line)
    known = desk.app.cli("status").stdout
    assert fingerprint.replace(":", "").lower() in known.replace(":", "").lower(), known
    assert "newNonce" in desk.machine.run("curl", "-fsS", "https://ca.svc.test/acme/directory").text


@pytest.mark.parametrize("recipe, chain", [
    ("acme-tiny", "/etc/acme-tiny/www.svc.test.pem"), ("certbot-webroot", f"{LIVE}/www.svc.test/fullchain.pem"),
    ("dehydrated", "/var/lib/dehydrated/certs/www.svc.test/fullchain.pem"), ("uacme", "/etc/ssl/uacme/www.svc.test/cert.pem")])
def test_beside_a_web_server(desk, recipe, chain):
    with desk.web_server():
        desk.run(recipe)
    desk.leaf(chain, NAME)
    assert not list(pathlib.Path("/var/www/html/.well-known/acme-challenge").glob("*")), "nothing is left behind"


@pytest.mark.parametrize("recipe, chain", [
    ("certbot-standalone", f"{LIVE}/www.svc.test/fullchain.pem"), ("acmetool", "/var/lib/acme/live/www.svc.test/fullchain"),
    ("lacme", "/etc/lacme/www.svc.test.pem"), ("lego-http", "/etc/lego/certificates/www.svc.test.crt"),
    ("lego-tls", "/etc/lego/certificates/www.svc.test.crt")])
def test_on_a_port_of_its_own(desk, recipe, chain):
    desk.run(recipe)
    desk.leaf(chain, NAME)


@pytest.mark.parametrize("recipe, renewal, chain", [
    ("certbot-preauthorized", "certbot-renew", f"{LIVE}/svc.test/fullchain.pem"),
    ("lego-httpreq", "lego-renew", "/etc/lego/certificates/svc.test.crt")])
def test_a_wildcard_that_is_not_due_for_renewal(desk, recipe, renewal, chain):
    desk.run(recipe)
    leaf = desk.leaf(chain, *WILDCARD)
    desk.run(renewal)
    assert desk.leaf(chain, *WILDCARD).serial_number == leaf.serial_number


def caddy(desk, recipe, program="caddy"):
    """As Debian's unit runs it: the packaged path, a home of its own."""
    file = desk.write(recipe, "/etc/caddy/Caddyfile")
    return desk.machine.spawn(program, "run", "--config", file, port=443, env=environment(HOME="/var/lib/caddy"))


def test_caddy(desk):
    with caddy(desk, "caddy") as (_, log):
        assert names_of(desk.machine.wait_for_tls(NAME, desk.app, log_path=log)) == [NAME]


def test_caddy_preauthorized(desk):
    with caddy(desk, "caddy-preauthorized") as (_, log):
        assert names_of(desk.machine.wait_for_tls("anything.svc.test", desk.app, log_path=log, shown="*.svc.test")) == ["*.svc.test"]
        assert names_of(desk.machine.wait_for_tls("svc.test", desk.app, log_path=log)) == ["svc.test"]


@pytest.mark.clients
@pytest.mark.parametrize("recipe, exact", [("caddy-rfc2136", ("svc.test",)), ("caddy-acmedns", ("svc.test", "a.deep.svc.test"))])
def test_caddy_with_a_dns_plug_in(desk, clients_dir, recipe, exact):
    with caddy(desk, recipe, clients_dir / "bin" / "caddy") as (_, log):
        assert names_of(desk.machine.wait_for_tls("anything.svc.test", desk.app, log_path=log, shown="*.svc.test")) == ["*.svc.test"]
        for name in exact:
            assert names_of(desk.machine.wait_for_tls(name, desk.app, log_path=log)) == [name]
        text = log.read_text(encoding="utf-8")
        assert text.count('"challenge_type":"dns-01"') == text.count('"challenge_type":') == len(exact) + 1, text


def test_apache(desk):
    included = desk.write("apache", "/etc/apache2/conf-available/bailiwick.conf")
    base = pathlib.Path("/var/lib/apache2-of-the-test")  # its workers run as www-data
    (base / "md").mkdir(parents=True)
    modules = "\n".join(f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so" for name in APACHE_MODULES)
    file = base / "apache2.conf"
    file.write_text(APACHE.format(modules=modules, base=base, included=included), encoding="ascii")
    with desk.machine.spawn("apache2", "-f", file, "-DFOREGROUND", port=443, env=environment()) as (process, log):
        staged = base / "md" / "staging" / NAME / "pubcert.pem"
        desk.wait_for(staged.exists, log)
        process.send_signal(signal.SIGUSR1)  # systemctl reload apache2
        assert names_of(desk.machine.wait_for_tls(NAME, desk.app, log_path=log)) == [NAME]


@pytest.mark.clients
@pytest.mark.parametrize("recipe, asked, names", [("traefik-preauthorized", "anything.svc.test", WILDCARD), ("traefik-http", NAME, (NAME,))])
def test_traefik(desk, clients_dir, recipe, asked, names):
    with Traefik(clients_dir / "bin" / "traefik", desk.machine.host, desk.app, block(recipe), {}, desk.directory) as one:
        assert one.wait_for(asked) == sorted(names)
