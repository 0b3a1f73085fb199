"""Makes wireguard.json: the handshake of the WireGuard whitepaper (§5.4) computed step by step with hashlib's BLAKE2s and
pyca/cryptography's X25519 and ChaCha20-Poly1305, from fixed keys, with every chaining key C and hash H on the way.

    python3 tests/Vectors/wireguard.py > tests/Vectors/wireguard.json
"""
import hashlib
import hmac as hmac_module
import json
import struct

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


def hash_(data):
    return hashlib.blake2s(data).digest()


def mac(key, data):
    return hashlib.blake2s(data, key=key, digest_size=16).digest()


def hmac(key, data):
    return hmac_module.new(key, data, hashlib.blake2s).digest()


def kdf(n, key, data):
    t0 = hmac(key, data)
    out, last = [], b""
    for i in range(1, n + 1):
        last = hmac(t0, last + bytes([i]))
        out.append(last)
    return out


def aead(key, counter, plain, ad):
    return ChaCha20Poly1305(key).encrypt(b"\0\0\0\0" + struct.pack("<Q", counter), plain, ad)


def public(private):
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def dh(private, pub):
    return X25519PrivateKey.from_private_bytes(private).exchange(X25519PublicKey.from_public_bytes(pub))


def hchacha20(key, nonce):
    """draft-irtf-cfrg-xchacha-03 §2.2, straight from its text."""
    s = list(struct.unpack("<4I", b"expand 32-byte k") + struct.unpack("<8I", key) + struct.unpack("<4I", nonce))

    def turn(a, b, c, d):
        for x, y, z, r in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            s[x] = (s[x] + s[y]) & 0xFFFFFFFF
            v = s[z] ^ s[x]
            s[z] = ((v << r) | (v >> (32 - r))) & 0xFFFFFFFF

    for _ in range(10):
        turn(0, 4, 8, 12), turn(1, 5, 9, 13), turn(2, 6, 10, 14), turn(3, 7, 11, 15)
        turn(0, 5, 10, 15), turn(1, 6, 11, 12), turn(2, 7, 8, 13), turn(3, 4, 9, 14)
    return struct.pack("<8I", *(s[:4] + s[12:]))


def xaead(key, nonce, plain, ad):
    return ChaCha20Poly1305(hchacha20(key, nonce[:16])).encrypt(b"\0\0\0\0" + nonce[16:], plain, ad)


def seeded(*label):
    """32 bytes that are as good as random, and the same each time."""
    return hashlib.sha256(" ".join(map(str, label)).encode()).digest()


def handshake(case, psk):
    si, sr, ei, er = (seeded(case, n) for n in ("static i", "static r", "ephemeral i", "ephemeral r"))
    si_pub, sr_pub, ei_pub, er_pub = map(public, (si, sr, ei, er))
    sender_i, sender_r = seeded(case, "index i")[:4], seeded(case, "index r")[:4]
    timestamp = struct.pack(">QI", 0x400000000000000A + 1_700_000_000 + case, 0x0D000000)
    states = []

    # §5.4.2
    c = hash_(b"Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s")
    h = hash_(hash_(c + b"WireGuard v1 zx2c4 Jason@zx2c4.com") + sr_pub)
    states.append(("start", c, h))
    (c,) = kdf(1, c, ei_pub)
    h = hash_(h + ei_pub)
    states.append(("initiation.ephemeral", c, h))
    c, k = kdf(2, c, dh(ei, sr_pub))
    static = aead(k, 0, si_pub, h)
    h = hash_(h + static)
    states.append(("initiation.static", c, h))
    c, k = kdf(2, c, dh(si, sr_pub))
    stamp = aead(k, 0, timestamp, h)
    h = hash_(h + stamp)
    states.append(("initiation.timestamp", c, h))
    initiation = b"\1\0\0\0" + sender_i + ei_pub + static + stamp
    initiation += mac(hash_(b"mac1----" + sr_pub), initiation)
    initiation += bytes(16)

    # §5.4.3
    (c,) = kdf(1, c, er_pub)
    h = hash_(h + er_pub)
    states.append(("response.ephemeral", c, h))
    (c,) = kdf(1, c, dh(er, ei_pub))
    (c,) = kdf(1, c, dh(er, si_pub))
    states.append(("response.dh", c, h))
    c, t, k = kdf(3, c, psk)
    h = hash_(h + t)
    states.append(("response.psk", c, h))
    empty = aead(k, 0, b"", h)
    h = hash_(h + empty)
    states.append(("response.empty", c, h))
    response = b"\2\0\0\0" + sender_r + sender_i + er_pub + empty
    response += mac(hash_(b"mac1----" + si_pub), response)
    response += bytes(16)

    # §5.4.5, §5.4.6
    from_i, from_r = kdf(2, c, b"")
    packet = seeded(case, "packet") * 3
    data = []
    for counter, length in ((0, 0), (1, 1), (2, 16), (1 << 40, 77), (2**64 - 2**13 - 2, 96)):
        padded = packet[:length] + bytes(-length % 16)
        data.append({
            "counter": str(counter), "packet": packet[:length].hex(),
            "datagram": (b"\4\0\0\0" + sender_r + struct.pack("<Q", counter) + aead(from_i, counter, padded, b"")).hex(),
        })

    # §5.4.4, §5.4.7: the responder is under load and answers the initiation with a cookie, which the initiator uses.
    secret, nonce = seeded(case, "secret"), seeded(case, "nonce")[:24]
    address, port = (bytes([192, 0, 2, 1 + case]), 51820) if case % 2 == 0 else (bytes.fromhex("20010db8") + bytes(11) + b"\7", 4)
    cookie = mac(secret, address + struct.pack(">H", port))
    reply = b"\3\0\0\0" + sender_i + nonce + xaead(hash_(b"cookie--" + sr_pub), nonce, cookie, initiation[116:132])
    with_mac2 = initiation[:132] + mac(cookie, initiation[:132])

    return {
        "section": f"whitepaper §5.4, case {case}", "psk": psk.hex(),
        "static_i": si.hex(), "static_r": sr.hex(), "ephemeral_i": ei.hex(), "ephemeral_r": er.hex(),
        "static_i_public": si_pub.hex(), "static_r_public": sr_pub.hex(), "static_static": dh(si, sr_pub).hex(),
        "sender_i": sender_i.hex(), "sender_r": sender_r.hex(), "timestamp": timestamp.hex(),
        "states": {name: {"c": cc.hex(), "h": hh.hex()} for name, cc, hh in states},
        "initiation": initiation.hex(), "response": response.hex(),
        "key_from_i": from_i.hex(), "key_from_r": from_r.hex(), "data": data,
        "secret": secret.hex(), "nonce": nonce.hex(), "address": address.hex(), "port": port,
        "cookie": cookie.hex(), "cookie_reply": reply.hex(), "initiation_with_mac2": with_mac2.hex(),
    }


# The draft's own vector, §2.2.1: the code above is right before it judges other code.
assert hchacha20(bytes(range(32)), bytes.fromhex("000000090000004a0000000031415927")).hex() == \
    "82413b4227b27bfed30e42508a877d73a0f9e4d58a74a853c12ec41326d3ecdc"

cases = [handshake(n, bytes(32) if n < 2 else seeded(n, "psk")) for n in range(4)]
print(json.dumps(cases, indent=1, ensure_ascii=False))
