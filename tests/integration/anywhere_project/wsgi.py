"""The project under WSGI, where no process has an event loop; as a program, a server of it.

`python -m tests.integration.anywhere_project.wsgi 8000` serves each request in a thread of its own.
"""

from __future__ import annotations

import os
import sys
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIServer, make_server

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.integration.anywhere_project.settings")
application = get_wsgi_application()


class ThreadingServer(ThreadingMixIn, WSGIServer):
    daemon_threads = True


if __name__ == "__main__":
    server = make_server("127.0.0.1", int(sys.argv[1]), application, ThreadingServer)
    server.serve_forever()
