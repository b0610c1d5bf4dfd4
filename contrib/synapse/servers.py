"""The two servers, the authority whose certificates they believe, and the link between them."""

import os
import pathlib
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

START_SECONDS = 60


class Failed(Exception):
    """A step did not come to its end."""


def free_port():
    """A port that nobody listens on. Below those the system gives to outgoing connections, so it stays free."""
    for port in range(12000 + os.getpid() % 5000, 32000):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            if port not in taken:
                taken.add(port)
                return port
    raise Failed("no port is free")


taken = set()


class Authority:
    """Makes certificates for localhost."""

    def __init__(self, folder):
        self.folder = folder
        self.certificate = folder / "ca.crt"
        self.key = folder / "ca.key"
        self.openssl(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30",
            "-subj", "/CN=conversation", "-keyout", self.key, "-out", self.certificate,
        )

    def certify(self, name):
        """Certificate and key, as PEM files."""
        certificate, key = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        request, extensions = self.folder / f"{name}.csr", self.folder / f"{name}.ext"
        extensions.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n")
        self.openssl(
            "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", f"/CN={name}",
            "-keyout", key, "-out", request,
        )
        self.openssl(
            "x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key, "-CAcreateserial", "-days",
            "30", "-extfile", extensions, "-out", certificate,
        )
        return certificate, key

    @staticmethod
    def openssl(*arguments):
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


class Link:
    """What others reach a server through: passes bytes on, until it is cut."""

    def __init__(self, target):
        self.port, self.target = free_port(), target
        self.lock, self.sockets, self.listener = threading.Lock(), set(), None
        self.mend()

    def mend(self):
        listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
        self.listener = listener
        threading.Thread(target=self._accept, args=[listener], daemon=True).start()

    def cut(self):
        """Ends every connection and refuses new ones."""
        listener, self.listener = self.listener, None
        if listener:
            # Wakes the thread that waits for a connection; closing alone does not.
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        with self.lock:
            sockets, self.sockets = self.sockets, set()
        for each in sockets:
            self._end(each)

    def _accept(self, listener):
        while True:
            try:
                inward, _ = listener.accept()
            except OSError:
                return
            try:
                outward = socket.create_connection(("127.0.0.1", self.target), timeout=5)
                outward.settimeout(None)
            except OSError:
                inward.close()
                continue
            with self.lock:
                self.sockets |= {inward, outward}
            for pair in [(inward, outward), (outward, inward)]:
                threading.Thread(target=self._pass_on, args=pair, daemon=True).start()

    def _pass_on(self, source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
        except OSError:
            pass
        self._end(source)
        self._end(sink)
        with self.lock:
            self.sockets -= {source, sink}

    @staticmethod
    def _end(each):
        try:
            each.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        each.close()


class Server:
    """A server process with a folder, an address for clients in clear, and a link for other servers."""

    kind = None

    def __init__(self, authority, folder):
        self.folder = folder / self.kind
        self.folder.mkdir()
        self.authority = authority
        self.client_port, self.federation_port = free_port(), free_port()
        self.link = Link(self.federation_port)
        self.name = f"localhost:{self.link.port}"
        self.base = f"http://127.0.0.1:{self.client_port}"
        self.certificate, self.key = authority.certify(self.kind)
        self.log = self.folder / "server.log"
        self.process = None
        self.configure()

    def configure(self):
        raise NotImplementedError

    def command(self):
        raise NotImplementedError

    def start(self):
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command(), cwd=self.folder, stdout=log, stderr=log)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise Failed(f"{self.kind} ended at its start: {self.end_of_log()}")
            try:
                with urllib.request.urlopen(f"{self.base}/_matrix/client/versions", timeout=5):
                    return self
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        raise Failed(f"{self.kind} does not answer: {self.end_of_log()}")

    def stop(self, how=signal.SIGTERM):
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process = None

    def ask(self, path):
        """What it answers other servers to a request that needs no signature, over the link and TLS."""
        context = ssl.create_default_context(cafile=self.authority.certificate)
        return urllib.request.urlopen(f"https://{self.name}{path}", timeout=10, context=context).read()

    def end_of_log(self):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])


class Homeroom(Server):
    kind = "homeroom"

    def configure(self):
        (self.folder / "homeroom.toml").write_text(f"""
[server]
name = "{self.name}"
public_url = "{self.base}"
[listen]
client = "127.0.0.1:{self.client_port}"
federation = "127.0.0.1:{self.federation_port}"
tls_certificate = "{self.certificate}"
tls_key = "{self.key}"
[database]
path = "data"
memory = "64 MiB"
[registration]
mode = "open"
[passwords]
memory = "8 KiB"
iterations = 1
[limits]
enabled = false
[federation]
allow = ["*"]
trusted_ca = ["{self.authority.certificate}"]
allow_private_addresses = true
[logging]
level = "{os.environ.get('HOMEROOM_LOG', 'info')}"
""")

    def command(self):
        return [os.environ["HOMEROOM_BINARY"], "serve", "--config", self.folder / "homeroom.toml"]


class Synapse(Server):
    kind = "synapse"

    def configure(self):
        unlimited = "{ per_second: 10000, burst_count: 10000 }"
        (self.folder / "log.yaml").write_text(f"""
version: 1
disable_existing_loggers: false
formatters: {{ plain: {{ format: "%(asctime)s %(levelname)s %(name)s %(request)s %(message)s" }} }}
filters: {{ context: {{ "()": synapse.logging.context.LoggingContextFilter, request: "" }} }}
handlers: {{ console: {{ class: logging.StreamHandler, formatter: plain, filters: [context] }} }}
root: {{ level: {os.environ.get('SYNAPSE_LOG', 'INFO')}, handlers: [console] }}
""")
        (self.folder / "homeserver.yaml").write_text(f"""
server_name: "{self.name}"
public_baseurl: "{self.base}/"
pid_file: "{self.folder}/synapse.pid"
report_stats: false
signing_key_path: "{self.folder}/signing.key"
log_config: "{self.folder}/log.yaml"
media_store_path: "{self.folder}/media"
database: {{ name: sqlite3, args: {{ database: "{self.folder}/synapse.db" }} }}
listeners:
  - {{ port: {self.client_port}, bind_addresses: ["127.0.0.1"], type: http, tls: false, resources: [{{ names: [client] }}] }}
  - port: {self.federation_port}
    bind_addresses: ["127.0.0.1"]
    type: http
    tls: true
    resources: [{{ names: [federation, client] }}]
tls_certificate_path: "{self.certificate}"
tls_private_key_path: "{self.key}"
federation_custom_ca_list: ["{self.authority.certificate}"]
ip_range_blacklist: []
federation_ip_range_blacklist: []
trusted_key_servers: []
suppress_key_server_warning: true
enable_registration: true
enable_registration_without_verification: true
registration_shared_secret: secret
macaroon_secret_key: secret
form_secret: secret
allow_public_rooms_over_federation: true
room_list_publication_rules: [{{ action: allow }}]
allow_device_name_lookup_over_federation: true
password_config: {{ pepper: "" }}
bcrypt_rounds: 4
federation:
  destination_min_retry_interval: 1s
  destination_retry_multiplier: 2
  destination_max_retry_interval: 2s
rc_message: {unlimited}
rc_registration: {unlimited}
rc_login: {{ address: {unlimited}, account: {unlimited}, failed_attempts: {unlimited} }}
rc_admin_redaction: {unlimited}
rc_joins: {{ local: {unlimited}, remote: {unlimited} }}
rc_joins_per_room: {unlimited}
rc_invites: {{ per_room: {unlimited}, per_user: {unlimited}, per_issuer: {unlimited} }}
rc_presence: {{ per_user: {unlimited} }}
rc_room_creation: {unlimited}
rc_media_create: {unlimited}
rc_federation: {{ window_size: 1000, sleep_limit: 10000, sleep_delay: 1, reject_limit: 10000, concurrent: 1000 }}
remote_media_download_per_second: 100M
remote_media_download_burst_count: 1000M
""")
        self.python("--generate-keys")

    def python(self, *arguments):
        command = [*self.command(), *arguments]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True)
        if done.returncode:
            raise Failed(f"synapse {' '.join(arguments)}: {done.stderr}")

    def command(self):
        return [sys.executable, "-m", "synapse.app.homeserver", "--config-path", self.folder / "homeserver.yaml"]


def folder_of(text):
    """The folder for everything, made."""
    folder = pathlib.Path(text).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    return folder
