"""The application that gunicorn serves."""

import os

BODY = f"generation {os.environ['SERVER_STARTER_GENERATION']}, pid {os.getpid()}\n".encode()


def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(BODY)))])
    return [BODY]
