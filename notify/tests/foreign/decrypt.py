"""Decrypts a web push message with http-ece: {private, auth, body} in base64url on stdin, the plain text on stdout."""

import base64
import json
import sys

import http_ece
from cryptography.hazmat.primitives.asymmetric import ec


def unbase64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


order = json.load(sys.stdin)
private = ec.derive_private_key(int.from_bytes(unbase64(order["private"]), "big"), ec.SECP256R1())
plain = http_ece.decrypt(
    unbase64(order["body"]), private_key=private, auth_secret=unbase64(order["auth"]), version="aes128gcm"
)
sys.stdout.buffer.write(plain)
