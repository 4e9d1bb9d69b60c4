"""Counts what leaves by a network device, by what an observer could make of it, until its input ends.

Prints "ready", then {ike, esp, keepalive, neighbours, clear: {"what it is": count}}: `clear` is everything else.
"""
import collections
import json
import select
import socket
import struct
import sys

ETH_P_ALL = 3
PACKET_OUTGOING = 4
NAT_T = 4500


def udp(header):
    source, destination = struct.unpack("!HH", header[:4])
    if 500 in (source, destination):
        return "ike"
    if NAT_T not in (source, destination):
        return None
    payload = header[8:]
    if len(payload) <= 1:
        return "keepalive"
    return "ike" if payload[:4] == b"\0\0\0\0" else "esp"


def classify(frame):
    kind = struct.unpack("!H", frame[12:14])[0]
    packet = frame[14:]
    if kind == 0x0806:
        return "neighbours", None
    if kind == 0x0800:
        protocol, header = packet[9], packet[(packet[0] & 15) * 4:]
        addresses = f"{socket.inet_ntop(socket.AF_INET, packet[12:16])} > {socket.inet_ntop(socket.AF_INET, packet[16:20])}"
    elif kind == 0x86DD:
        protocol, header = packet[6], packet[40:]
        addresses = f"{socket.inet_ntop(socket.AF_INET6, packet[8:24])} > {socket.inet_ntop(socket.AF_INET6, packet[24:40])}"
        # Neighbour discovery, and reports of multicast listeners behind a hop-by-hop header.
        if (protocol == 58 and 130 <= header[0] <= 143) or protocol == 0:
            return "neighbours", None
    else:
        return "clear", f"ethertype {kind:#06x}"
    if protocol in (50, 51):
        return "esp", None
    if protocol == 17:
        known = udp(header)
        if known:
            return known, None
    return "clear", f"{addresses} protocol {protocol}"


def main(device):
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    wire.bind((device, 0))
    counts = collections.Counter()
    clear = collections.Counter()
    print("ready", flush=True)
    while True:
        readable, _, _ = select.select([wire, sys.stdin], [], [])
        if wire in readable:
            frame, address = wire.recvfrom(65535)
            if address[2] != PACKET_OUTGOING:
                continue
            kind, what = classify(frame)
            if what:
                clear[what] += 1
            else:
                counts[kind] += 1
        elif not sys.stdin.readline():
            break
    print(json.dumps({**{kind: counts[kind] for kind in ("ike", "esp", "keepalive", "neighbours")}, "clear": clear}))


main(sys.argv[1])
