"""The newest lego's DNS providers (lego 5.5.1, in certbot-dns-multi) behind the newest certbot: httpreq default and RAW, acme-dns with HTTP
storage on a never-seen name, acme-dns with a pre-seeded file (rows 1, 2, 3). The newest lego's own ACME client is Traefik's: test_traefik.py."""
import json

import pytest

from appliance import SECRET, environment
from jws_client import http_session
from tools import assert_certificate, run, txt_values

pytestmark = pytest.mark.clients


@pytest.fixture
def certbot(app, clients_dir, tmp_path):
    def run_certbot(provider, names, options, expect=0, renew=False):
        credentials = tmp_path / "credentials.ini"
        credentials.write_text("".join(f"{key} = {value}\n" for key, value in {"dns_multi_provider": provider, **options}.items()), encoding="ascii")
        credentials.chmod(0o600)
        folders = [part for kind in ("config", "work", "logs") for part in (f"--{kind}-dir", tmp_path / kind)]
        what = ["renew", "--force-renewal", "--no-random-sleep-on-renew"] if renew else [
            "certonly", "--agree-tos", "--email", "admin@svc.test", "--server", app.directory_url, "--authenticator", "dns-multi",
            "--dns-multi-credentials", credentials, "--dns-multi-propagation-seconds", "0", *(part for name in names for part in ("--domain", name))]
        done = run(clients_dir / "bin" / "certbot", *what, "--non-interactive", *folders, expect=expect,
                   env=environment(REQUESTS_CA_BUNDLE=app.root_pem, SSL_CERT_FILE=app.root_pem))
        return done, tmp_path / "config" / "live" / names[0].lstrip("*.") / "fullchain.pem"
    return run_certbot


def httpreq_options(app, **more):
    return {"HTTPREQ_ENDPOINT": f"{app.url}/httpreq", "HTTPREQ_USERNAME": "lego", "HTTPREQ_PASSWORD": SECRET, **more}


def with_credential(app, path):
    return app.url.replace("https://", f"https://lego:{SECRET}@") + path


@pytest.mark.parametrize("mode", [{}, {"HTTPREQ_MODE": "RAW"}], ids=["default", "RAW"])
def test_httpreq(app, certbot, mode):
    names = ("m.svc.test", "*.m.svc.test")
    _, chain = certbot("httpreq", names, httpreq_options(app, **mode))
    first = assert_certificate(app, chain, *names)
    certbot("httpreq", names, httpreq_options(app, **mode), renew=True)
    assert assert_certificate(app, chain, *names).serial_number != first.serial_number


def test_httpreq_wrong_password_is_401_in_the_clients_error(app, certbot):
    done, _ = certbot("httpreq", ("w.svc.test",), httpreq_options(app, HTTPREQ_PASSWORD="w" * 44), expect=1)
    assert "401" in done.text, done.text


def test_acmedns_with_http_storage_on_a_never_seen_name(app, certbot):
    names = ("never.seen.svc.test", "*.never.seen.svc.test")
    _, chain = certbot("acme-dns", names, {"ACME_DNS_API_BASE": with_credential(app, "/acme-dns"),
                                           "ACME_DNS_STORAGE_BASE_URL": with_credential(app, "/acme-dns/storage")})
    assert_certificate(app, chain, *names)


def test_acmedns_with_http_storage_for_a_name_that_is_not_the_clients(app, certbot):
    other = app.config["clients"][1]
    def base(path):
        return app.url.replace("https://", f"https://other:{other['secret']}@") + path
    done, _ = certbot("acme-dns", ("svc.test",), {"ACME_DNS_API_BASE": base("/acme-dns"), "ACME_DNS_STORAGE_BASE_URL": base("/acme-dns/storage")},
                      expect=1)
    assert "403" in done.text, done.text


def test_acmedns_with_a_file_storage_that_was_seeded_from_our_storage(app, certbot, tmp_path):
    """The JSON that lego's file storage wants, taken from the server."""
    names = ("seeded.svc.test", "*.seeded.svc.test")
    account = http_session(app.root_pem).get(f"{app.url}/acme-dns/storage/seeded.svc.test", auth=("lego", SECRET), timeout=30).json()
    storage = tmp_path / "acme-dns.json"
    storage.write_text(json.dumps({"seeded.svc.test": account}), encoding="ascii")
    _, chain = certbot("acme-dns", names, {"ACME_DNS_API_BASE": f"{app.url}/acme-dns", "ACME_DNS_STORAGE_PATH": str(storage)})
    assert_certificate(app, chain, *names)


def test_acmedns_with_a_file_storage_and_late_binding(app, certbot, tmp_path):
    """A plain acme-dns registration, which names no domain, written into lego's file by hand."""
    names = ("bound.svc.test", "*.bound.svc.test")
    session = http_session(app.root_pem)
    account = session.post(f"{app.url}/acme-dns/register", auth=("lego", SECRET), timeout=30).json()
    storage = tmp_path / "acme-dns.json"
    storage.write_text(json.dumps({"bound.svc.test": {**account, "server_url": f"{app.url}/acme-dns"}}), encoding="ascii")
    _, chain = certbot("acme-dns", names, {"ACME_DNS_API_BASE": f"{app.url}/acme-dns", "ACME_DNS_STORAGE_PATH": str(storage)})
    assert_certificate(app, chain, *names)
    assert len(txt_values(account["fulldomain"])) == 2
