"""Seals and opens IPsec packets with scapy: reads a JSON list of requests, writes the list of answers.

A request: {op: "seal" | "open", protocol, spi, crypt, cryptKey, auth, authKey, tunnel: [source, destination]
or null, natT: [source port, destination port] or null, esn, sequence, packet}. Keys and packets are
hexadecimal; the answer is the packet, or {error}.
"""
import json
import sys

from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.ipsec import AH, ESP, SecurityAssociation


def ip(packet):
    return IP(packet) if packet[0] >> 4 == 4 else IPv6(packet)


def association(request):
    tunnel = None
    if request["tunnel"]:
        source, destination = request["tunnel"]
        tunnel = (IPv6 if ":" in source else IP)(src=source, dst=destination)
    nat_t = None
    if request["natT"]:
        nat_t = UDP(sport=request["natT"][0], dport=request["natT"][1])
    return SecurityAssociation(
        ESP if request["protocol"] == "esp" else AH,
        spi=request["spi"],
        crypt_algo=request["crypt"],
        crypt_key=bytes.fromhex(request["cryptKey"]) or None,
        auth_algo=request["auth"],
        auth_key=bytes.fromhex(request["authKey"]) or None,
        tunnel_header=tunnel,
        nat_t_header=nat_t,
        esn_en=request["esn"],
        esn=request["sequence"] >> 32,
    )


def answer(request):
    packet = ip(bytes.fromhex(request["packet"]))
    sa = association(request)
    if request["op"] == "open":
        return bytes(sa.decrypt(packet)).hex()
    return bytes(sa.encrypt(packet, seq_num=request["sequence"] & 0xFFFFFFFF)).hex()


def guarded(request):
    try:
        return answer(request)
    except Exception as error:  # one packet that scapy refuses is an answer, too
        return {"error": f"{type(error).__name__}: {error}"}


json.dump([guarded(request) for request in json.load(sys.stdin)], sys.stdout)
