"""The real Traefik with README's exact static configuration, first start from empty: httpreq, and acme-dns with HTTP storage (row 1)."""
import pytest

from appliance import ROOT, SECRET, client
from namespace import CA_ADDRESS, Host, scratch_etc, write_resolv_conf
from tools import fenced_block
from traefik import ETC, Traefik

pytestmark = pytest.mark.clients
SVC = ["*.svc.test", "svc.test"]
BASE = f"https://traefik:{SECRET}@ca.svc.test/acme-dns"
DOORS = {
    "httpreq": {"HTTPREQ_ENDPOINT": "https://ca.svc.test/httpreq", "HTTPREQ_USERNAME": "traefik", "HTTPREQ_PASSWORD": SECRET},
    "acme-dns": {"ACME_DNS_API_BASE": BASE, "ACME_DNS_STORAGE_BASE_URL": f"{BASE}/storage"},
}


@pytest.fixture
def machine(resolv_conf, tmp_path):
    """Traefik's machine: its /etc is scratch, its resolver is the appliance."""
    write_resolv_conf(resolv_conf, CA_ADDRESS)
    (tmp_path / "etc").mkdir()
    with scratch_etc(str(tmp_path / "etc"), resolv_conf), Host() as host:
        yield host
    write_resolv_conf(resolv_conf, "127.0.0.1")


@pytest.fixture
def app(make_appliance):
    return make_appliance(clients=[client("traefik", SECRET, "svc.test", "*.svc.test")]).start()


@pytest.mark.parametrize("door", DOORS)
def test_first_start_from_empty(app, machine, clients_dir, tmp_path, door):
    static = fenced_block((ROOT / "README.md").read_text(encoding="utf-8"), f"test:traefik-{door}")
    env = {"SSL_CERT_FILE": str(ETC / "root.pem"), **DOORS[door]}
    with Traefik(clients_dir / "bin" / "traefik", machine, app, static, env, tmp_path) as traefik:
        assert traefik.wait_for("svc.test") == SVC
        assert traefik.wait_for("anything.svc.test") == SVC
    assert (ETC / "acme.json").stat().st_size > 0
    with Traefik(clients_dir / "bin" / "traefik", machine, app, static, env, tmp_path) as again:
        assert again.wait_for("second.svc.test") == SVC
