# SPDX-License-Identifier: BSD-2-Clause
r"""A small SMB1 client that asks for exactly what a DOS redirector asks for.

The usual client libraries hide what matters here: DOS deny modes, DOS error
codes, requests sent without waiting for the answer, connections cut in the
middle. This one shows them, in the dialects LANMAN1.0 to NT LM 0.12, over TCP
without NetBIOS names, as a guest.

    with Client(port, "mail") as client:
        with client.open(r"KEY\A.KEY", deny=Deny.ALL) as key:
            key.write(0, bytes(560))

One Client is one client machine: one connection, one logon, one share. Give
machines that run at once different `source` addresses (any of 127/8), for
smbd may take a new connection from one address as that machine's restart.

Packet layouts: MS-CIFS. All integers are little-endian; strings are OEM bytes.
"""

import copy
import enum
import socket
import struct
from dataclasses import dataclass

DIALECTS = ["LANMAN1.0", "LM1.2X002", "LANMAN2.1", "NT LM 0.12"]

# Every file, whatever its hidden and system attributes.
SEARCH_ALL = 0x16

_HEADER = struct.Struct("<4sBIBHH8sHHHHH")
_FLAGS_CASELESS = 0x08
_FLAGS2_LONG_NAMES = 0x0001
_FLAGS2_NT_STATUS = 0x4000
_NO_ANDX = struct.pack("<BBH", 0xFF, 0, 0)


class Command(enum.IntEnum):
    MKDIR = 0x00
    RMDIR = 0x01
    CREATE = 0x03
    CLOSE = 0x04
    FLUSH = 0x05
    DELETE = 0x06
    RENAME = 0x07
    GET_ATTRIBUTES = 0x08
    SET_ATTRIBUTES = 0x09
    WRITE = 0x0B
    MAKE_NEW = 0x0F
    CHECK_DIRECTORY = 0x10
    LOCKING = 0x24
    TRANSACTION = 0x25
    ECHO = 0x2B
    OPEN = 0x2D
    READ = 0x2E
    WRITE_ANDX = 0x2F
    TRANSACTION2 = 0x32
    TREE_DISCONNECT = 0x71
    NEGOTIATE = 0x72
    LOGON = 0x73
    LOGOFF = 0x74
    TREE_CONNECT = 0x75
    DISK = 0x80
    SEARCH = 0x81
    NT_CREATE = 0xA2


class Access(enum.IntEnum):
    READ = 0
    WRITE = 1
    BOTH = 2


class Deny(enum.IntEnum):
    """What others may not do while the file is open (INT 21h, 3Dh)."""

    COMPAT = 0
    ALL = 1
    WRITE = 2
    READ = 3
    NONE = 4


class Attr(enum.IntFlag):
    NORMAL = 0
    READ_ONLY = 0x01
    HIDDEN = 0x02
    SYSTEM = 0x04
    DIRECTORY = 0x10
    ARCHIVE = 0x20


class Mode(enum.IntFlag):
    """What opening does if the file exists, and if it does not."""

    FAIL_IF_EXISTS = 0x00
    OPEN = 0x01
    TRUNCATE = 0x02
    CREATE = 0x10


class Error(enum.IntEnum):
    """DOS error codes (class ERRDOS)."""

    FILE_NOT_FOUND = 2
    PATH_NOT_FOUND = 3
    ACCESS_DENIED = 5
    NO_MORE_FILES = 18
    GENERAL_FAILURE = 31
    SHARING_VIOLATION = 32
    LOCK_VIOLATION = 33
    FILE_EXISTS = 80
    DISK_FULL = 112
    INVALID_NAME = 123
    NOT_EMPTY = 145
    ALREADY_EXISTS = 183


class SmbError(Exception):
    """The server refused a request: DOS class and code, or an NT status."""

    def __init__(self, command, status, is_nt_status):
        self.status = status
        self.dos_class = None if is_nt_status else status & 0xFF
        self.code = None if is_nt_status else status >> 16
        if is_nt_status:
            reason = f"NT status {status:#010x}"
        else:
            reason = f"class {self.dos_class} code {self.code}"
        super().__init__(f"{Command(command).name}: {reason}")


class Disconnected(Exception):
    """The server ended the connection."""


@dataclass(frozen=True)
class Reply:
    command: int
    tree: int
    user: int
    request_id: int
    words: bytes
    data: bytes
    packet: bytes

    def word(self, offset):
        """The 16-bit parameter at byte `offset`."""
        return struct.unpack_from("<H", self.words, offset)[0]


@dataclass(frozen=True)
class FileInfo:
    attributes: Attr
    mtime: int  # seconds since 1970
    size: int


@dataclass(frozen=True)
class Disk:
    """Free and total space as a DOS client computes it, in bytes."""

    total: int
    free: int


@dataclass(frozen=True)
class Entry:
    name: str
    attributes: Attr
    size: int


def _oem(text):
    return text.encode("cp850") + b"\0"


def _netbios_name(name):
    """As in a session's request: each byte two letters, "A" for 0."""
    letters = "".join(chr(ord("A") + half) for byte in
                      name.ljust(16).encode("ascii")
                      for half in divmod(byte, 16))
    return bytes([len(letters)]) + letters.encode("ascii") + b"\0"


def _path(name):
    """A name as an argument of the older requests: with its format byte."""
    return b"\x04" + _oem(name)


class Client:
    """One client machine, connected to one share."""

    def __init__(self, port, share, *, dialect="NT LM 0.12", source=None,
                 nt_status=False, timeout=30, server="SERVER",
                 host="127.0.0.1"):
        self.dialect = dialect
        self.server = server
        self.chunk = 16000 if dialect == "NT LM 0.12" else 4000
        self._nt_status = nt_status
        self._tree = self._user = self._last_id = 0
        self._socket = socket.create_connection(
            (host, port), timeout=timeout,
            source_address=(source, 0) if source else None)
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._call()
            self._negotiate()
            self._logon()
            self._connect_tree(share)
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()

    # -- requests and replies

    def send(self, command, words=b"", data=b""):
        """Sends a request without waiting. Returns its id."""
        self._last_id = (self._last_id + 1) & 0x7FFF
        flags2 = _FLAGS2_LONG_NAMES
        if self._nt_status:
            flags2 |= _FLAGS2_NT_STATUS
        packet = _HEADER.pack(
            b"\xffSMB", command, 0, _FLAGS_CASELESS, flags2, 0, bytes(8), 0,
            self._tree, 0x1234, self._user, self._last_id)
        packet += bytes([len(words) // 2]) + words
        packet += struct.pack("<H", len(data)) + data
        self._socket.sendall(struct.pack(">I", len(packet)) + packet)
        return self._last_id

    def receive(self):
        """Waits for the next reply, whichever request it answers."""
        length = 0
        while not length:
            head = self._receive_bytes(4)
            is_keepalive = head[0] == 0x85
            length = 0 if is_keepalive else struct.unpack(">I", head)[0]
        packet = self._receive_bytes(length & 0x1FFFF)
        (_, command, status, _, flags2, _, _, _, tree, _, user,
         request_id) = _HEADER.unpack_from(packet)
        if status:
            raise SmbError(command, status, flags2 & _FLAGS2_NT_STATUS)
        word_end = 33 + 2 * packet[32]
        return Reply(command, tree, user, request_id, packet[33:word_end],
                     packet[word_end + 2:], packet)

    def request(self, command, words=b"", data=b""):
        """Sends a request and returns its reply, or raises SmbError."""
        request_id = self.send(command, words, data)
        reply = self.receive()
        assert reply.request_id == request_id, "replies out of order"
        return reply

    def _receive_bytes(self, count):
        received = b""
        while len(received) < count:
            try:
                piece = self._socket.recv(count - len(received))
            except ConnectionResetError as error:
                raise Disconnected from error
            if not piece:
                raise Disconnected
            received += piece
        return received

    # -- the connection

    def _call(self):
        """Asks for the server by its NetBIOS name (RFC 1002, 4.3.2)."""
        names = _netbios_name(self.server) + _netbios_name("CLIENT")
        self._socket.sendall(struct.pack(">BBH", 0x81, 0, len(names)) + names)
        answer = self._receive_bytes(4)
        assert answer[0] == 0x82, "nobody here is called that"

    def _negotiate(self):
        offered = DIALECTS[:DIALECTS.index(self.dialect) + 1]
        reply = self.request(Command.NEGOTIATE, data=b"".join(
            b"\x02" + _oem(dialect) for dialect in offered))
        assert offered[reply.word(0)] == self.dialect

    def _logon(self):
        words = _NO_ANDX
        if self.dialect == "NT LM 0.12":
            large_files, nt_smbs, nt_status = 0x08, 0x10, 0x40
            capabilities = large_files | nt_smbs
            if self._nt_status:
                capabilities |= nt_status
            words += struct.pack("<HHHIHHII", 65535, 50, 0, 0, 0, 0, 0,
                                 capabilities)
        else:
            words += struct.pack("<HHHIHI", 4356, 50, 0, 0, 0, 0)
        data = b"\0" + b"WORKGROUP\0" + b"DOS\0" + b"CLIENT\0"
        self._user = self.request(Command.LOGON, words, data).user

    def _connect_tree(self, share):
        reply = self.request(
            Command.TREE_CONNECT, _NO_ANDX + struct.pack("<HH", 0, 1),
            b"\0" + _oem(rf"\\{self.server}\{share}") + b"?????\0")
        self._tree = reply.tree

    def drive(self, share):
        """The same client with another share: a second drive letter."""
        other = copy.copy(self)
        other._connect_tree(share)
        return other

    @property
    def address(self):
        """The connection's address and port on this side."""
        return self._socket.getsockname()

    def fileno(self):
        """For select(): readable when a reply has come."""
        return self._socket.fileno()

    def disconnect(self):
        """Leaves as a client does that is shut down properly."""
        self.request(Command.TREE_DISCONNECT)
        self.request(Command.LOGOFF, _NO_ANDX)
        self._socket.close()

    def reset(self):
        """Vanishes: the connection is cut without a word."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                struct.pack("ii", 1, 0))
        self._socket.close()

    def echo(self):
        self.request(*self.echo_request())

    @staticmethod
    def echo_request():
        """The arguments with which send() asks whether anybody is there."""
        return Command.ECHO, struct.pack("<H", 1), b"x"

    # -- opening

    def open(self, name, access=Access.BOTH, deny=Deny.NONE, mode=Mode.OPEN,
             attributes=Attr.NORMAL):
        """Opens a file as INT 21h 3Dh, 3Ch, 5Bh and 6Ch do; see Mode."""
        return self.opened(self.request(*self.open_request(
            name, access, deny, mode, attributes)))

    @staticmethod
    def open_request(name, access=Access.BOTH, deny=Deny.NONE, mode=Mode.OPEN,
                     attributes=Attr.NORMAL):
        """The arguments with which send() opens without waiting."""
        words = _NO_ANDX + struct.pack(
            "<HHHHIHIII", 0, access | deny << 4, SEARCH_ALL, attributes, 0,
            mode, 0, 0, 0)
        return Command.OPEN, words, _oem(name)

    def opened(self, reply):
        """The file of a reply to open_request()."""
        fid, got, _, size = struct.unpack_from("<HHII", reply.words, 4)
        return File(self, fid, size, _attributes(got))

    def open_nt(self, name, access=0x0012019F, share=0, disposition=1,
                options=0):
        """Opens a file as Windows NT does; the arguments are CreateFile's."""
        path = _oem(name)
        words = _NO_ANDX + struct.pack(
            "<BHIIIQIIIIIB", 0, len(path) - 1, 0, 0, access, 0, 0x80, share,
            disposition, options, 2, 0)
        reply = self.request(Command.NT_CREATE, words, path)
        attributes, = struct.unpack_from("<I", reply.words, 43)
        size, = struct.unpack_from("<Q", reply.words, 55)
        fid, = struct.unpack_from("<H", reply.words, 5)
        return File(self, fid, size, _attributes(attributes))

    def create(self, name, attributes=Attr.NORMAL):
        """Creates a file, or truncates it if it exists (INT 21h, 3Ch)."""
        return self._create(Command.CREATE, name, attributes)

    def create_new(self, name, attributes=Attr.NORMAL):
        """Creates a file that must not exist (INT 21h, 5Bh)."""
        return self._create(Command.MAKE_NEW, name, attributes)

    def _create(self, command, name, attributes):
        reply = self.request(command, struct.pack("<HI", attributes, 0),
                             _path(name))
        return File(self, reply.word(0), 0, attributes)

    # -- whole files

    def read_file(self, name):
        with self.open(name, Access.READ) as file:
            return file.read(0, file.size)

    def write_file(self, name, content):
        """Creates or replaces a file."""
        with self.create(name) as file:
            file.write(0, content)

    # -- names

    def delete(self, name):
        self.request(Command.DELETE, struct.pack("<H", SEARCH_ALL), _path(name))

    def rename(self, name, new_name):
        self.request(Command.RENAME, struct.pack("<H", SEARCH_ALL),
                     _path(name) + _path(new_name))

    def mkdir(self, name):
        self.request(Command.MKDIR, data=_path(name))

    def rmdir(self, name):
        self.request(Command.RMDIR, data=_path(name))

    def check_directory(self, name):
        self.request(Command.CHECK_DIRECTORY, data=_path(name))

    def info(self, name):
        """Attributes, time and size; raises SmbError if there is no file."""
        reply = self.request(Command.GET_ATTRIBUTES, data=_path(name))
        attributes, mtime, size = struct.unpack_from("<HII", reply.words)
        return FileInfo(_attributes(attributes), mtime, size)

    def set_info(self, name, attributes, mtime=0):
        """Sets attributes, and the time (seconds since 1970) unless 0."""
        self.request(Command.SET_ATTRIBUTES,
                     struct.pack("<HI10x", attributes, mtime),
                     _path(name) + b"\x04\0")

    def disk(self):
        words = self.request(Command.DISK).words
        units, blocks, block_size, free = struct.unpack_from("<HHHH", words)
        return Disk(units * blocks * block_size, free * blocks * block_size)

    def search(self, pattern, attributes=SEARCH_ALL):
        """Lists names as INT 21h 4Eh and 4Fh do."""
        found, resume, batch = [], b"", 40
        while True:
            path = _path("" if resume else pattern)
            # The end is an empty answer or an error. Not to ask for it
            # would leave the directory open on the server.
            try:
                reply = self.request(
                    Command.SEARCH, struct.pack("<HH", batch, attributes),
                    path + b"\x05" + struct.pack("<H", len(resume)) + resume)
            except SmbError as error:
                if error.code == Error.NO_MORE_FILES:
                    return found
                raise
            records = [reply.data[3 + 43 * i:3 + 43 * (i + 1)]
                       for i in range(reply.word(0))]
            if not records:
                return found
            found += [_search_entry(record) for record in records]
            resume = records[-1][:21]

    def find(self, pattern, attributes=SEARCH_ALL):
        """Lists names as OS/2 and Windows clients do."""
        end_at_last, go_on, standard, batch = 2, 8, 1, 100
        first = struct.pack("<HHHHI", attributes, batch, end_at_last, standard,
                            0) + _oem(pattern)
        try:
            reply, data = self._transaction2(1, first)
        except SmbError as error:
            if error.code in (Error.FILE_NOT_FOUND, Error.NO_MORE_FILES):
                return []
            raise
        search, count, is_end = struct.unpack_from("<HHH", reply)
        found = _find_entries(data, count)
        while not is_end:
            reply, data = self._transaction2(
                2, struct.pack("<HHHIH", search, batch, standard, 0,
                               end_at_last | go_on) + b"\0")
            count, is_end = struct.unpack_from("<HH", reply)
            found += _find_entries(data, count)
        return found

    def remote_call(self, function, parameters, size):
        """Calls the server as LAN Manager does (on the share IPC$); at most
        `size` bytes of its answer. Packet layout: MS-RAP."""
        name = b"\\PIPE\\LANMAN\0"
        parameters = struct.pack("<H", function) + parameters
        at = 33 + 2 * 14 + 2 + len(name)
        words = struct.pack(
            "<HHHHBBHIHHHHHBB", len(parameters), 0, 10, size, 0, 0, 0, 0, 0,
            len(parameters), at, 0, at + len(parameters), 0, 0)
        reply = self.request(Command.TRANSACTION, words, name + parameters)
        count, start = struct.unpack_from("<HH", reply.words, 12)
        return reply.packet[start:start + count]

    def _transaction2(self, function, parameters, data=b""):
        at = 33 + 2 * 15 + 2 + 3
        data_at = at + len(parameters)
        words = struct.pack(
            "<HHHHBBHIHHHHHBBH", len(parameters), len(data), 32, 4000, 0, 0, 0,
            0, 0, len(parameters), at, len(data), data_at, 1, 0, function)
        reply = self.request(Command.TRANSACTION2, words,
                             bytes(3) + parameters + data)
        _, _, _, count, start, _, data_count, data_start = struct.unpack_from(
            "<HHHHHHHH", reply.words, 0)
        return (reply.packet[start:start + count],
                reply.packet[data_start:data_start + data_count])

    def set_size(self, file, size):
        """Sets the end of an open file (NT LM 0.12 only)."""
        self._set_file(file, 0x104, struct.pack("<Q", size))

    def set_deleted(self, file):
        """Has an open file deleted when it is closed (NT LM 0.12 only)."""
        self._set_file(file, 0x102, b"\1")

    def _set_file(self, file, level, data):
        self._transaction2(8, struct.pack("<HHH", file.fid, level, 0), data)


class File:
    """An open file. Leaving a `with` block closes it."""

    def __init__(self, client, fid, size, attributes):
        self.client = client
        self.fid = fid
        self.size = size  # when it was opened
        self.attributes = attributes

    def __enter__(self):
        return self

    def __exit__(self, error, *_):
        # After an error the connection may be gone, and the error counts.
        if error is None:
            self.close()

    def read(self, offset, size):
        """Reads up to `size` bytes; fewer at the end of the file."""
        content = b""
        while len(content) < size:
            want = min(self.client.chunk, size - len(content))
            words = _NO_ANDX + struct.pack(
                "<HIHHIH", self.fid, offset + len(content), want, want, 0, 0)
            reply = self.client.request(Command.READ, words)
            got, at = struct.unpack_from("<HH", reply.words, 10)
            content += reply.packet[at:at + got]
            if got < want:
                break
        return content

    def write(self, offset, content):
        for start in range(0, len(content), self.client.chunk):
            piece = content[start:start + self.client.chunk]
            reply = self.client.request(
                *self.write_request(offset + start, piece))
            assert reply.word(4) == len(piece), "short write"

    def write_request(self, offset, content):
        """The arguments with which Client.send() writes without waiting."""
        data_at = 33 + 2 * 12 + 2 + 1
        return (Command.WRITE_ANDX, _NO_ANDX + struct.pack(
            "<HIIHHHHH", self.fid, offset, 0, 0, 0, 0, len(content), data_at),
            b"\0" + content)

    def truncate(self, size):
        """Cuts or extends the file as DOS does: by writing nothing there."""
        self.client.request(
            Command.WRITE, struct.pack("<HHIH", self.fid, 0, size, 0),
            b"\x01\0\0")

    def lock(self, offset, size, timeout_ms=0):
        self._lock(timeout_ms, [], [(offset, size)])

    def unlock(self, offset, size):
        self._lock(0, [(offset, size)], [])

    def _lock(self, timeout_ms, unlocks, locks):
        words = _NO_ANDX + struct.pack("<HBBIHH", self.fid, 0, 0, timeout_ms,
                                       len(unlocks), len(locks))
        ranges = [struct.pack("<HII", 0x1234, *r) for r in unlocks + locks]
        self.client.request(Command.LOCKING, words, b"".join(ranges))

    def flush(self):
        """Returns when what was written is on the disk."""
        self.client.request(Command.FLUSH, struct.pack("<H", self.fid))

    def close(self, mtime=0):
        self.client.request(*self.close_request(mtime))

    def close_request(self, mtime=0):
        """The arguments with which Client.send() closes without waiting."""
        return Command.CLOSE, struct.pack("<HI", self.fid, mtime)


def _attributes(bits):
    """DOS attributes; without NT's "normal", which stands for none."""
    return Attr(bits & 0x3F)


def _search_entry(record):
    size, = struct.unpack_from("<I", record, 26)
    name = record[30:43].split(b"\0")[0].decode("cp850").strip()
    return Entry(name, _attributes(record[21]), size)


def _find_entries(data, count):
    """Decodes `count` records of the level SMB_INFO_STANDARD."""
    entries, at = [], 0
    for _ in range(count):
        size, _, attributes, length = struct.unpack_from("<IIHB", data, at + 12)
        name = data[at + 23:at + 23 + length].rstrip(b"\0").decode("cp850")
        entries.append(Entry(name, _attributes(attributes), size))
        # Some servers count the NUL after the name, all of them send it.
        at += 23 + length
        at += data[at:at + 1] == b"\0"
    return entries
