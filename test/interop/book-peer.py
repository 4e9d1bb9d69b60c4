"""Seals and opens IPsec packets by the RFCs, with python3-cryptography for the ciphers alone.

Unlike scapy it has the high half of an extended sequence number in a separate ICV (RFC 4303 section 2.2.1,
RFC 4302 section 2.5.1), short ICVs, and GMAC. Requests and answers are those of scapy-peer.py, and icv, the bytes of
ICV: of a combined mode cryptKey, of GMAC in AH authKey, ends with the salt.
"""
import hmac
import ipaddress
import json
import os
import struct
import sys

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC, CTR, GCM

ESP, AH, UDP, IPIP, IPV6 = 50, 51, 17, 4, 41
HASHES = {
    "HMAC-SHA1-96": "sha1",
    "SHA2-256-128": "sha256",
    "SHA2-384-192": "sha384",
    "SHA2-512-256": "sha512",
}
IV_LENGTHS = {"NULL": 0, "AES-CBC": 16}
SALT_LENGTHS = {"AES-CCM": 3}


def require(condition, what):
    if not condition:
        raise ValueError(what)


# --- IP ---------------------------------------------------------------------------------------------


def checksum(data):
    data += b"\0" * (len(data) & 1)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def header_length(packet):
    return (packet[0] & 15) * 4 if packet[0] >> 4 == 4 else 40


def protocol_of(packet):
    return packet[9] if packet[0] >> 4 == 4 else packet[6]


def with_payload(header, protocol, payload):
    """The header, for another protocol and another payload."""
    header = bytearray(header)
    if header[0] >> 4 == 6:
        struct.pack_into("!H", header, 4, len(payload))
        header[6] = protocol
    else:
        struct.pack_into("!H", header, 2, len(header) + len(payload))
        header[9] = protocol
        header[10:12] = b"\0\0"
        struct.pack_into("!H", header, 10, checksum(bytes(header)))
    return bytes(header) + payload


def tunnel_header(source, destination):
    source, destination = ipaddress.ip_address(source), ipaddress.ip_address(destination)
    if source.version == 6:
        return struct.pack("!IHBB", 0x60000000, 0, 0, 64) + source.packed + destination.packed
    return struct.pack("!BBHHHBBH", 0x45, 0, 0, 1, 0, 64, 0, 0) + source.packed + destination.packed


def in_udp(header, ports, payload):
    length = 8 + len(payload)
    udp = struct.pack("!HHHH", *ports, length, 0)
    if header[0] >> 4 == 6:
        pseudo = header[8:40] + struct.pack("!II", length, UDP)
        udp = struct.pack("!HHHH", *ports, length, checksum(pseudo + udp + payload) or 0xFFFF)
    return udp + payload


# --- ESP (RFC 4303) ---------------------------------------------------------------------------------


class Esp:
    def __init__(self, request):
        self.spi = request["spi"]
        self.crypt = request["crypt"]
        key = bytes.fromhex(request["cryptKey"])
        self.combined = request["auth"] == "NULL"
        counter = self.crypt not in IV_LENGTHS
        salt = SALT_LENGTHS.get(self.crypt, 4) if counter else 0
        self.key, self.salt = key[: len(key) - salt], key[len(key) - salt :]
        self.auth_key = bytes.fromhex(request["authKey"])
        self.hash = HASHES.get(request["auth"])
        self.icv = request["icv"]
        self.iv_length = IV_LENGTHS.get(self.crypt, 8)
        self.block = 16 if self.crypt == "AES-CBC" else 4
        self.sequence = request["sequence"]
        self.esn = request["esn"]

    def high(self):
        return struct.pack("!I", self.sequence >> 32) if self.esn else b""

    def header(self):
        return struct.pack("!II", self.spi, self.sequence & 0xFFFFFFFF)

    def aad(self):
        return struct.pack("!I", self.spi) + self.high() + struct.pack("!I", self.sequence & 0xFFFFFFFF)

    def cipher(self, iv):
        if self.crypt == "AES-CBC":
            return Cipher(AES(self.key), CBC(iv))
        # RFC 3686 section 4: nonce, IV, and a block counter that begins with one.
        return Cipher(AES(self.key), CTR(self.salt + iv + b"\0\0\0\1"))

    def tag(self, data):
        return hmac.new(self.auth_key, data + self.high(), self.hash).digest()[: self.icv]

    def gmac(self, iv, plain, tag=None):
        """RFC 4543 section 3.3: everything is authenticated, the IV too, and nothing is encrypted."""
        mode = GCM(self.salt + iv, tag, 16) if tag else GCM(self.salt + iv)
        run = Cipher(AES(self.key), mode)
        run = run.decryptor() if tag else run.encryptor()
        run.authenticate_additional_data(self.aad() + iv + plain)
        run.finalize()
        return None if tag else run.tag

    def seal(self, payload, next_header):
        iv = os.urandom(self.iv_length)
        padding = bytes(range(1, 1 + -(len(payload) + 2) % self.block))
        plain = payload + padding + bytes([len(padding), next_header])
        if not self.combined:
            if self.crypt != "NULL":
                run = self.cipher(iv).encryptor()
                plain = run.update(plain) + run.finalize()
            body = self.header() + iv + plain
            return body + self.tag(body)
        nonce = self.salt + iv
        if self.crypt == "AES-GMAC":
            return self.header() + iv + plain + self.gmac(iv, plain)
        if self.crypt == "AES-GCM":
            run = Cipher(AES(self.key), GCM(nonce)).encryptor()
            run.authenticate_additional_data(self.aad())
            sealed = run.update(plain) + run.finalize() + run.tag[: self.icv]
        elif self.crypt == "AES-CCM":
            sealed = AESCCM(self.key, self.icv).encrypt(nonce, plain, self.aad())
        else:
            sealed = ChaCha20Poly1305(self.key).encrypt(nonce, plain, self.aad())
        return self.header() + iv + sealed

    def open(self, packet):
        require(packet[:8] == self.header(), "SPI or sequence number")
        iv, sealed = packet[8 : 8 + self.iv_length], packet[8 + self.iv_length :]
        body, icv = sealed[: -self.icv], sealed[-self.icv :]
        nonce = self.salt + iv
        if not self.combined:
            require(hmac.compare_digest(self.tag(packet[: -self.icv]), icv), "ICV")
            plain = body
            if self.crypt != "NULL":
                run = self.cipher(iv).decryptor()
                plain = run.update(body) + run.finalize()
        elif self.crypt == "AES-GMAC":
            self.gmac(iv, body, icv)
            plain = body
        elif self.crypt == "AES-GCM":
            run = Cipher(AES(self.key), GCM(nonce, icv, self.icv)).decryptor()
            run.authenticate_additional_data(self.aad())
            plain = run.update(body) + run.finalize()
        elif self.crypt == "AES-CCM":
            plain = AESCCM(self.key, self.icv).decrypt(nonce, sealed, self.aad())
        else:
            plain = ChaCha20Poly1305(self.key).decrypt(nonce, sealed, self.aad())
        require(len(plain) % self.block == 0, "alignment")
        length, next_header = plain[-2], plain[-1]
        end = len(plain) - 2 - length
        require(plain[end:-2] == bytes(range(1, length + 1)), "padding")
        return plain[:end], next_header


# --- AH (RFC 4302) ----------------------------------------------------------------------------------


class Ah:
    def __init__(self, request):
        self.spi = request["spi"]
        self.hash = HASHES.get(request["auth"])
        key = bytes.fromhex(request["authKey"])
        # GMAC: an IV stands in front of the ICV (RFC 4543 section 4).
        self.iv_length = 0 if self.hash else 8
        self.key, self.salt = (key, b"") if self.hash else (key[:-4], key[-4:])
        self.icv = request["icv"]
        self.sequence = request["sequence"]
        self.esn = request["esn"]

    def length(self, version):
        align = 8 if version == 6 else 4
        return -(-(12 + self.iv_length + self.icv) // align) * align

    def header(self, version, next_header):
        length = self.length(version)
        fixed = struct.pack("!BBHII", next_header, length // 4 - 2, 0, self.spi, self.sequence & 0xFFFFFFFF)
        return fixed + b"\0" * (length - 12)

    def covered(self, packet):
        """The packet without what routers may change, and the high half of the number behind it."""
        packet = bytearray(packet)
        if packet[0] >> 4 == 4:
            packet[1] = packet[8] = 0
            packet[6:8] = packet[10:12] = b"\0\0"
        else:
            packet[0:4] = b"\x60\0\0\0"
            packet[7] = 0
        return bytes(packet) + (struct.pack("!I", self.sequence >> 32) if self.esn else b"")

    def tag(self, iv, packet):
        if self.hash:
            return hmac.new(self.key, self.covered(packet), self.hash).digest()[: self.icv]
        run = Cipher(AES(self.key), GCM(self.salt + iv)).encryptor()
        run.authenticate_additional_data(self.covered(packet))
        run.finalize()
        return run.tag

    def seal(self, header, payload, next_header):
        version = header[0] >> 4
        packet = with_payload(header, AH, self.header(version, next_header) + payload)
        iv = os.urandom(self.iv_length)
        filled = iv + self.tag(iv, packet)
        at = len(header) + 12
        return packet[:at] + filled + packet[at + len(filled) :]

    def open(self, packet):
        at = header_length(packet)
        next_header, length = packet[at], self.length(packet[0] >> 4)
        empty = self.header(packet[0] >> 4, next_header)
        require(packet[at : at + 12] == empty[:12], "AH")
        filled = packet[at + 12 : at + 12 + self.iv_length + self.icv]
        iv, icv = filled[: self.iv_length], filled[self.iv_length :]
        blank = packet[:at] + empty + packet[at + length :]
        require(hmac.compare_digest(self.tag(iv, blank), icv), "ICV")
        return packet[at + length :], next_header


# --- Requests ---------------------------------------------------------------------------------------


def seal(request, packet):
    inner_header = packet[: header_length(packet)]
    if request["tunnel"]:
        header, payload = tunnel_header(*request["tunnel"]), packet
        next_header = IPIP if packet[0] >> 4 == 4 else IPV6
    else:
        header, payload, next_header = inner_header, packet[len(inner_header) :], protocol_of(packet)
    if request["protocol"] == "ah":
        return Ah(request).seal(header, payload, next_header)
    esp = Esp(request).seal(payload, next_header)
    if request["natT"]:
        return with_payload(header, UDP, in_udp(header, request["natT"], esp))
    return with_payload(header, ESP, esp)


def opened(request, packet):
    header = packet[: header_length(packet)]
    rest = packet[len(header) :]
    if request["protocol"] == "ah":
        require(protocol_of(packet) == AH, "protocol")
        payload, next_header = Ah(request).open(packet)
    else:
        require(protocol_of(packet) == (UDP if request["natT"] else ESP), "protocol")
        if request["natT"]:
            require(list(struct.unpack("!HHH", rest[:6])) == [*request["natT"], len(rest)], "UDP header")
        payload, next_header = Esp(request).open(rest[8:] if request["natT"] else rest)
    if not request["tunnel"]:
        return with_payload(header, next_header, payload)
    require(next_header == (IPIP if payload[0] >> 4 == 4 else IPV6), "next header")
    return payload


def guarded(request):
    try:
        packet = bytes.fromhex(request["packet"])
        return (seal if request["op"] == "seal" else opened)(request, packet).hex()
    except Exception as error:  # one packet that is refused is an answer, too
        return {"error": f"{type(error).__name__}: {error}"}


json.dump([guarded(request) for request in json.load(sys.stdin)], sys.stdout)
