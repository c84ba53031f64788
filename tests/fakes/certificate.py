"""A self-signed certificate, as cameras have them."""

import datetime
import ssl
import warnings
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID


def old_server_context(folder: Path, only: ssl.TLSVersion) -> ssl.SSLContext:
    """As cameras of 2010 have it: one old protocol, a short RSA key, and nothing newer."""
    context = server_context(folder, rsa.generate_private_key(65_537, 1024))  # noqa: S505
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = only
    return context


def server_context(
    folder: Path, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | None = None
) -> ssl.SSLContext:
    """A server context with a fresh self-signed certificate; its file is left in `folder`."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "IPC")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    file = folder / "device.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    file.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if isinstance(key, rsa.RSAPrivateKey):
        context.set_ciphers("DEFAULT:@SECLEVEL=0")  # else OpenSSL does not load a short key
    context.load_cert_chain(file)
    return context
