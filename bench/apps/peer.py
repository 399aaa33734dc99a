# What every peer serves when they are compared: peer.cjs for Gunicorn.
import os
import threading
import time
import uuid

if os.path.exists(os.environ.get('BENCH_BROKEN', '')):
    raise RuntimeError('this version does not start')

ID = f'{os.getpid()}.0.{uuid.uuid4().hex}'.encode()
SMALL = b'x' * 10_000
LARGE = b'x' * 1_000_000


def after(seconds):
    def answer(environ):
        time.sleep(seconds)
        return b'hello'

    return answer


def spin(environ):
    while True:
        pass


def throw(environ):
    raise RuntimeError('the sky fell')


def post(environ):
    return str(len(environ['wsgi.input'].read())).encode()


ROUTES = {
    '/': lambda environ: b'hello',
    '/10k': lambda environ: SMALL,
    '/1m': lambda environ: LARGE,
    '/id': lambda environ: ID,
    '/slow': after(0.5),
    '/long': after(1.5),
    '/never': lambda environ: threading.Event().wait(),
    '/while': spin,
    '/throw': throw,
    '/post': post,
}


def app(environ, start_response):
    body = ROUTES[environ['PATH_INFO']](environ)
    start_response('200 OK', [('Content-Length', str(len(body)))])
    return [body]
