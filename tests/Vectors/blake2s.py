"""Makes blake2s.json with hashlib: BLAKE2s of 32 bytes, HMAC over it, keyed BLAKE2s of 16 bytes, at lengths around the block of 64.

    python3 tests/Vectors/blake2s.py > tests/Vectors/blake2s.json
"""
import hashlib
import hmac
import json

# RFC 7693 appendix B, and the first keyed line of the reference implementation's blake2s-kat.txt.
assert hashlib.blake2s(b"abc").hexdigest() == "508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982"
assert hashlib.blake2s(b"", key=bytes(range(32))).hexdigest() == "48a8997da407876b3d79c0d92325ad3b89cbb754d86ab71aee047ad345fd2c49"

out = []
for length in (0, 1, 3, 32, 55, 63, 64, 65, 127, 128, 129, 1000):
    data = bytes((7 * i + length) & 255 for i in range(length))
    if length == 3:
        data = b"abc"
    for key_length in (1, 16, 32):
        key = bytes(range(key_length))
        out.append({
            "section": f"{length} bytes, key of {key_length}", "data": data.hex(), "key": key.hex(),
            "hash": hashlib.blake2s(data).hexdigest(),
            "hmac": hmac.new(key, data, hashlib.blake2s).hexdigest(),
            "mac": hashlib.blake2s(data, key=key, digest_size=16).hexdigest(),
        })
print(json.dumps(out, indent=1))
