"""TLS for listeners: contexts from certificate files, new files for a listener that runs, certificates of clients."""

from __future__ import annotations

import hashlib
import ssl
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rocade.errors import ConfigurationError
from rocade.net.link import LinkInfo

if TYPE_CHECKING:
    from cryptography import x509

__all__ = ["PeerCertificate", "ServerCertificate", "ServerTLS", "TLSOptions", "peer_certificate", "tls_unique"]

_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}

# What OpenSSL says when a certificate and a key of the same, or of different kinds do not fit.
_MISMATCHES = {"KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED"}


@dataclass(frozen=True, slots=True, kw_only=True)
class TLSOptions:
    """What a listener's TLS is made of. All files are PEM."""

    certificate: str
    """File with the server's certificate; those that lead from it to a root may follow in the same file."""
    key: str
    """File with the private key of the certificate, without a passphrase."""
    chain_certificates: tuple[str, ...] = ()
    """Files with the certificates that lead from the server's to a root."""
    ca_certificates: tuple[str, ...] = ()
    """Files with the certificates that clients' certificates must lead to."""
    client_certificates: Literal["optional", "required"] | None = None
    """Whether clients are asked for a certificate, which takes `ca_certificates`."""
    ciphers: str | None = None
    """Ciphers up to TLS 1.2, as OpenSSL lists them; those of TLS 1.3 are always the same."""
    dhparam: str | None = None
    """File with parameters for the key exchange of DHE ciphers, which are not offered otherwise."""
    minimum_version: Literal["1.2", "1.3"] = "1.2"
    """The oldest version of TLS that is spoken."""


@dataclass(frozen=True, slots=True)
class ServerCertificate:
    """What a listener's certificate says."""

    file: str
    names: tuple[str, ...]
    """Host names and addresses."""
    valid_from: datetime
    valid_until: datetime

    def problem(self, now: datetime) -> str | None:
        """Why clients will refuse the certificate at a moment, in plain words; None if its time is right."""
        if now < self.valid_from:
            return f"the certificate in {self.file!r} is not valid before {_date(self.valid_from)}"
        if now > self.valid_until:
            return f"the certificate in {self.file!r} has expired on {_date(self.valid_until)}"
        return None

    def __str__(self) -> str:
        names = ", ".join(self.names) or "nobody in particular"
        return f"certificate of {names}, valid until {_date(self.valid_until)}"


class ServerTLS:
    """TLS of one listener, whose files can be read again while connections live.

    Reading them again makes a whole new context, and only when all of it is right do connections that come from then
    on use it. Loading a new pair into the context that is in use would leave it without a usable one when the files
    change between two reads, and could not forget a certificate authority.

    Attributes:
        context: for `Listener(tls=…)`; stays the same.
        certificate: what is shown to new connections.
    """

    def __init__(self, options: TLSOptions) -> None:
        """
        Raises:
            ConfigurationError: a file or a setting cannot be used; the path names the option, such as
                "chain_certificates[0]", the message names the file.
        """
        self._options = options
        self.context, self.certificate = _load(options)
        self._current = self.context
        # Called early in every handshake, whether or not the client names a host.
        self.context.sni_callback = self._use_current

    def reload(self) -> None:
        """Read all files again, for connections that come from now on.

        Raises:
            ConfigurationError: as in `__init__`; everything stays as it was.
        """
        self._current, self.certificate = _load(self._options)

    def problem(self) -> str | None:
        """Why clients will refuse the certificate now, None if they have no reason."""
        return self.certificate.problem(datetime.now(UTC))

    def _use_current(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        connection.context = self._current


def _load(options: TLSOptions) -> tuple[ssl.SSLContext, ServerCertificate]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[options.minimum_version]
    # OpenSSL 1.1.1 lets clients ask for as many key exchanges as they like.
    context.options |= ssl.OP_NO_RENEGOTIATION
    # Whoever offers something else is served all the same: RawSocket clients need not offer anything.
    context.set_alpn_protocols(["http/1.1"])
    if options.ciphers is not None:
        _set_ciphers(context, options.ciphers)
    certificate = _load_pair(context, options)
    if options.dhparam is not None:
        _load_dh_parameters(context, options.dhparam)
    _ask_for_certificates(context, options)
    return context, certificate


def _set_ciphers(context: ssl.SSLContext, ciphers: str) -> None:
    try:
        context.set_ciphers(ciphers)
    except ssl.SSLError:
        raise ConfigurationError("ciphers", f"OpenSSL knows no cipher of {ciphers!r} up to TLS 1.2") from None


def _load_dh_parameters(context: ssl.SSLContext, file: str) -> None:
    _read("dhparam", file)
    try:
        context.load_dh_params(file)
    except ssl.SSLError as error:
        raise ConfigurationError("dhparam", f"{file!r} has no usable DH parameters: {_reason(error)}") from None


def _load_pair(context: ssl.SSLContext, options: TLSOptions) -> ServerCertificate:
    certificates = _certificates("certificate", options.certificate)
    _check_key(options.key)
    if not options.chain_certificates:
        _load_files(context, options, options.certificate)
        return _described(options.certificate, certificates[0])
    for index, file in enumerate(options.chain_certificates):
        certificates += _certificates(f"chain_certificates[{index}]", file)
    try:
        # Python takes a chain from a file only, and from the one that has the certificate.
        with tempfile.TemporaryDirectory(prefix="rocade-") as directory:
            together = Path(directory, "certificates.pem")
            together.write_bytes(b"".join(_pem(certificate) for certificate in certificates))
            _load_files(context, options, str(together))
    except OSError as error:
        message = f"needs room for a temporary file: {error.strerror or error}"
        raise ConfigurationError("chain_certificates", message) from None
    return _described(options.certificate, certificates[0])


def _check_key(file: str) -> None:
    if b"PRIVATE KEY-----" not in _read("key", file):
        raise ConfigurationError("key", f"there is no private key in PEM form in {file!r}")


def _load_files(context: ssl.SSLContext, options: TLSOptions, certificates: str) -> None:
    try:
        context.load_cert_chain(certificates, options.key, password=_refuse_to_ask)
    except _PassphraseNeeded:
        message = f"the key in {options.key!r} needs a passphrase, and nobody is there to type one"
        raise ConfigurationError("key", message) from None
    except ssl.SSLError as error:
        if error.reason in _MISMATCHES:
            message = f"the key in {options.key!r} is not that of the (first) certificate in {options.certificate!r}"
            raise ConfigurationError("key", message) from None
        # The certificates have been parsed already, so without a reason it is the key that makes no sense.
        option, file = ("certificate", options.certificate) if error.reason else ("key", options.key)
        raise ConfigurationError(option, f"OpenSSL cannot use {file!r}: {_reason(error)}") from None
    except OSError as error:  # gone since it was looked at
        message = f"{options.certificate!r} or its key cannot be read: {error.strerror or error}"
        raise ConfigurationError("certificate", message) from None


class _PassphraseNeeded(Exception):
    """A key is encrypted."""


def _refuse_to_ask() -> str:
    # Without this OpenSSL asks on the terminal, and a service waits for ever.
    raise _PassphraseNeeded


def _ask_for_certificates(context: ssl.SSLContext, options: TLSOptions) -> None:
    if options.client_certificates is None:
        return
    if not options.ca_certificates:
        raise ConfigurationError("client_certificates", "needs 'ca_certificates' to compare them with")
    for index, file in enumerate(options.ca_certificates):
        for certificate in _certificates(f"ca_certificates[{index}]", file):
            context.load_verify_locations(cadata=_der(certificate))
    required = options.client_certificates == "required"
    context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
    # What is listed is trusted, whether or not it is a root; the root above it is not.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    # A session that is resumed is not checked again: a client could go on after its authority has been removed.
    context.num_tickets = 0


def _read(option: str, file: str) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise ConfigurationError(option, f"{file!r} cannot be read: {error.strerror or error}") from None


def _certificates(option: str, file: str) -> list[x509.Certificate]:
    """All certificates of a file, at least one."""
    from cryptography import x509  # here, because only those who use TLS shall pay for it

    data = _read(option, file)
    if b"-----BEGIN CERTIFICATE-----" not in data:
        raise ConfigurationError(option, f"there is no certificate in PEM form in {file!r}")
    try:
        return x509.load_pem_x509_certificates(data)
    except ValueError:
        raise ConfigurationError(option, f"a certificate in {file!r} is damaged") from None


def _pem(certificate: x509.Certificate) -> bytes:
    return ssl.DER_cert_to_PEM_cert(_der(certificate)).encode("ascii")


def _der(certificate: x509.Certificate) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.public_bytes(Encoding.DER)


def _described(file: str, certificate: x509.Certificate) -> ServerCertificate:
    return ServerCertificate(
        file, _names(certificate), certificate.not_valid_before_utc, certificate.not_valid_after_utc
    )


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    from cryptography import x509

    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, ValueError):
        common_names = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        return tuple(str(attribute.value) for attribute in common_names)
    hosts: Sequence[str] = extension.value.get_values_for_type(x509.DNSName)
    addresses = extension.value.get_values_for_type(x509.IPAddress)
    return (*hosts, *(str(address) for address in addresses))


def _reason(error: ssl.SSLError) -> str:
    return error.reason.replace("_", " ").lower() if error.reason else "it is damaged"


def _date(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


# Clients


@dataclass(frozen=True, slots=True)
class PeerCertificate:
    """A client's certificate, which leads to one of the listener's authorities."""

    sha256: str
    """Fingerprint: 64 hexadecimal digits in lower case."""
    subject: tuple[tuple[str, str], ...]
    """Whose it is: attribute (such as "commonName") and value. An attribute may come more than once."""
    alternative_names: tuple[tuple[str, str], ...]
    """Kind ("DNS", "email", "URI", "IP Address") and value."""

    @property
    def common_name(self) -> str | None:
        """The subject's common name; None if there is none, or more than one to choose from."""
        found = [value for attribute, value in self.subject if attribute == "commonName"]
        return found[0] if len(found) == 1 else None


def peer_certificate(info: LinkInfo) -> PeerCertificate | None:
    """The certificate that a client has shown; None if it has shown none, or was not asked for one."""
    encoded = None if info.tls is None else info.tls.getpeercert(binary_form=True)
    if not encoded:
        return None
    fields = info.tls.getpeercert()
    return PeerCertificate(
        hashlib.sha256(encoded).hexdigest(),
        tuple(pair for name in fields.get("subject", ()) for pair in name),
        tuple((kind, value) for kind, value in fields.get("subjectAltName", ()) if kind in _TEXTUAL_NAMES),
    )


def tls_unique(info: LinkInfo) -> bytes | None:
    """What both ends of a TLS connection know and nobody else (RFC 5929, section 3); None where there is no such thing.

    TLS 1.3 has none; Python would give something all the same. Of a session that was resumed it might be known to
    whoever the session was begun with (RFC 7627).
    """
    if info.tls is None or info.tls.version() != "TLSv1.2" or info.tls.session_reused:
        return None
    unique: bytes | None = info.tls.get_channel_binding("tls-unique")
    return unique


_TEXTUAL_NAMES = {"DNS", "email", "URI", "IP Address"}
