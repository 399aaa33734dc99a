# The same episodes for Gunicorn: what test/fixtures/blocking.js does, in Python.
import hashlib
import threading
import time


def spin_forever():
    while True:
        pass


WAYS = {
    '/slow': lambda: time.sleep(0.5),
    '/never': lambda: threading.Event().wait(),
    '/while': spin_forever,
    '/pbkdf2': lambda: hashlib.pbkdf2_hmac('sha512', b'secret', b'salt', 2**30),
}


def app(environ, start_response):
    WAYS.get(environ['PATH_INFO'], lambda: None)()
    start_response('200 OK', [('Content-Type', 'text/plain'), ('Content-Length', '5')])
    return [b'hello']
