"""acme.sh's and sewer's exact acme-dns requests (client-contract §2.6, §2.10 row 7, and 'Tried with Debian's clients')."""
import base64
import http.client
import re
import ssl
import subprocess

import pytest

from appliance import SECRET, environment
from jws_client import Acme, assert_problem, httpreq
from tools import ask, run, txt_values

NAMES = ("sh.svc.test", "*.sh.svc.test", "a.sh.svc.test", "b.sh.svc.test", "c.sh.svc.test")


def curl(app, *arguments):
    return run("curl", "-L", "--silent", "--cacert", app.root_pem, "--user-agent", "acme.sh/3.1.1 (https://github.com/acmesh-official/acme.sh)",
               "-g", *arguments).text


def sed(expression, text):
    return subprocess.run(["sed", "-n", expression], input=text, capture_output=True, text=True, check=True).stdout.strip()


def acmesh_register(app):
    """_post "" "$ACMEDNS_BASE_URL/register": a POST with an empty body and no content type, read with sed."""
    base = app.url.replace("https://", f"https://lego:{SECRET}@") + "/acme-dns"
    reply = curl(app, "-X", "POST", "-H", "Content-Type:", "--data", "", f"{base}/register")
    member = {name: sed(r's/^{.*"' + name + r'":[ ]*"\([^"]*\)".*}/\1/p', reply) for name in ("username", "password", "fulldomain", "subdomain")}
    assert all(member.values()), reply
    return member


def acmesh_update(app, account, value):
    """JSON under application/x-www-form-urlencoded; the reply must hold the value in double quotes."""
    reply = curl(app, "-X", "POST", "-H", f"X-Api-User: {account['username']}", "-H", f"X-Api-Key: {account['password']}",
                 "-H", "Content-Type: application/x-www-form-urlencoded",
                 "--data", f'{{"subdomain": "{account["subdomain"]}", "txt": "{value}"}}', f"{app.url}/acme-dns/update")
    assert f'"{value}"' in reply, reply


def test_acmesh_one_account_for_five_names(app):
    account = acmesh_register(app)
    acme = Acme(app).register()
    _, order = acme.order(*NAMES)
    digests = []
    challenges = [acme.challenge_of(url)[1] for url in order["authorizations"]]
    for challenge in challenges:
        digests.append(acme.digest(challenge))
        acmesh_update(app, account, digests[-1])
    assert txt_values(account["fulldomain"]) == sorted(digests), "five values live at once"
    for challenge in challenges:
        assert acme.post(challenge["url"], {}).json()["status"] == "valid"
    assert acme.finalize(order).json()["status"] == "valid"


def test_acmesh_register_without_content_length(app):
    """A POST with neither body nor Content-Length is an empty body (RFC 9112 §6.3), never 411 or 415."""
    context = ssl.create_default_context(cafile=app.root_pem)
    connection = http.client.HTTPSConnection("ca.svc.test", context=context, timeout=30)
    connection.putrequest("POST", "/acme-dns/register")
    connection.putheader("Authorization", "Basic " + base64.b64encode(f"lego:{SECRET}".encode()).decode())
    connection.endheaders()
    assert connection.getresponse().status == 201


def sewer_update(app, name, value):
    """The first label of the CNAME's target as subdomain, with a fixed user and key."""
    target = ask(f"_acme-challenge.{name}", "TXT").answer[0][0].target.to_text()
    subdomain = target.split(".", 1)[0]
    reply = Acme(app).session.post(f"{app.url}/acme-dns/update", json={"subdomain": subdomain, "txt": value}, timeout=65,
                                   headers={"X-Api-User": "lego", "X-Api-Key": SECRET})
    assert reply.status_code == 200, reply.text


def test_sewers_requests(app):
    acme = Acme(app).register()
    _, order = acme.order("sewer.svc.test", "*.sewer.svc.test")
    for url in order["authorizations"]:
        authorization, challenge = acme.challenge_of(url)
        sewer_update(app, authorization["identifier"]["value"], acme.digest(challenge))
        assert acme.post(challenge["url"], {}).json()["status"] == "valid"
    assert acme.finalize(order).json()["status"] == "valid"


@pytest.mark.clients
def test_sewer_itself(app, clients_dir, tmp_path):
    """sewer asks 8.8.8.8; inside this scenario's namespace that address is its own loopback's. It reads the CNAME from an answer that
    must hold some TXT value already, with any acme-dns server, so there is one."""
    run("ip", "address", "add", "8.8.8.8/32", "dev", "lo")
    try:
        script = ("from sewer.dns_providers.acmedns import AcmeDnsDns\n"
                  "import sys\n"
                  f"dns = AcmeDnsDns('lego', {SECRET!r}, 'https://ca.svc.test/acme-dns')\n"
                  "dns.create_dns_record(sys.argv[1], sys.argv[2])\n")
        acme = Acme(app).register()
        _, order = acme.order("real.svc.test", "*.real.svc.test")
        assert httpreq(app, "present", "_acme-challenge.real.svc.test.", "s" * 43).status_code == 200
        for url in order["authorizations"]:
            authorization, challenge = acme.challenge_of(url)
            run(clients_dir / "bin" / "python3", "-W", "ignore", "-c", script, authorization["identifier"]["value"], acme.digest(challenge),
                env=environment(REQUESTS_CA_BUNDLE=app.root_pem), cwd=tmp_path)
            assert acme.post(challenge["url"], {}).json()["status"] == "valid"
        assert acme.finalize(order).json()["status"] == "valid"
    finally:
        run("ip", "address", "del", "8.8.8.8/32", "dev", "lo")


def test_a_five_name_order_with_one_name_unproved_stays_pending(app):
    account = acmesh_register(app)
    acme = Acme(app).register()
    _, order = acme.order(*NAMES)
    for url in order["authorizations"][:-1]:
        _, challenge = acme.challenge_of(url)
        acmesh_update(app, account, acme.digest(challenge))
        assert acme.post(challenge["url"], {}).json()["status"] == "valid"
    assert_problem(acme.finalize(order), 403, "orderNotReady")
    assert re.fullmatch(r"[0-9a-f-]{36}", account["username"])
