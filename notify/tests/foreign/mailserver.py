"""A mail server (aiosmtpd) with STARTTLS: a certificate and its key as arguments. Prints its port, then each mail as a
line of JSON, and ends when stdin does. It lets `ada` in with the password `hunter2`."""

import asyncio
import email
import email.policy
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult


class Handler:
    async def handle_DATA(self, server, session, envelope):
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        parts = {part.get_content_type(): part.get_content() for part in mail.walk() if not part.is_multipart()}
        found = {
            "is_tls": session.ssl is not None,
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "subject": mail["subject"],
            "message_id": mail["message-id"],
            "unsubscribe": mail["list-unsubscribe"],
            "one_click": mail["list-unsubscribe-post"],
            "parts": {kind: text.replace("\r\n", "\n").rstrip("\n") for kind, text in parts.items()},
        }
        print(json.dumps(found), flush=True)
        return "250 2.0.0 Ok"


def authenticate(server, session, envelope, mechanism, data):
    is_ada = (data.login, data.password) == (b"ada", b"hunter2")
    return AuthResult(success=is_ada, handled=False)


async def main(certificate, key):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    def session():
        return SMTP(
            Handler(),
            tls_context=context,
            require_starttls=True,
            auth_required=True,
            authenticator=authenticate,
        )

    loop = asyncio.get_running_loop()
    server = await loop.create_server(session, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


asyncio.run(main(*sys.argv[1:]))
