"""nginx before servers of the tests, with the file of a page: on free ports, and TLS of its own."""

from __future__ import annotations

import datetime
import os
import shutil
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.servers import Server, free_port, require

MAIN = """
{user}
daemon off;
pid nginx.pid;
events {{}}
http {{
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    include site.conf;
}}
"""


def nginx(site: str, directory: Path) -> Server:
    """Return nginx with a site, whose paths are in `directory`; its port is that of TLS, if any."""
    require("nginx")
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin") or "nginx"
    arguments = ("-e", "stderr", "-p", f"{directory}/", "-c", "nginx.conf")
    server = Server(*arguments, directory=directory, program=program)
    make_certificate(directory)
    plain = free_port() if "listen 443" in site else server.port
    places = {
        "listen 80;": f"listen 127.0.0.1:{plain};",
        "listen 443 ssl;": f"listen 127.0.0.1:{server.port} ssl;",
        "/etc/letsencrypt/live/chat.example.com": str(directory),
        "/var/log/nginx": str(directory),
        "/srv/chat": str(directory),
        "/run": str(directory),
    }
    for there, here in places.items():
        site = site.replace(there, here)
    (directory / "site.conf").write_text(site)
    user = "user root;" if os.geteuid() == 0 else ""  # Else its workers are nobody.
    (directory / "nginx.conf").write_text(MAIN.format(user=user))
    return server


def make_certificate(directory: Path) -> None:
    """Write a certificate for chat.example.com that it has signed itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "chat.example.com")])
    now = datetime.datetime.now(datetime.timezone.utc)
    day = datetime.timedelta(days=1)  # Before and after, as clocks of machines are set.
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now - day, now + day)
    names = x509.SubjectAlternativeName([x509.DNSName("chat.example.com")])
    builder = builder.add_extension(names, critical=False)
    certificate = builder.sign(key, hashes.SHA256())
    pem = serialization.Encoding.PEM
    (directory / "fullchain.pem").write_bytes(certificate.public_bytes(pem))
    (directory / "privkey.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
