"""Frames against websockets' own framing as the other side, in pieces of every size."""

from __future__ import annotations

import random
import struct

import pytest
from websockets.connection import Connection, Side, State
from websockets.frames import Frame
from websockets.frames import Opcode as Theirs

from pytest_chaser.cdp._framing import Decoder, Opcode, ProtocolError, encode


def server_frame(opcode: int, data: bytes, *, fin: bool = True) -> bytes:
    return Frame(Theirs(opcode), data, fin).serialize(mask=False)


@pytest.mark.parametrize("length", [0, 1, 125, 126, 65_535, 65_536, 200_000])
def test_a_server_reads_what_we_write(length: int) -> None:
    data = b"x" * length
    server = Connection(Side.SERVER, State.OPEN, max_size=None)
    server.receive_data(encode(Opcode.TEXT, data))
    (frame,) = server.events_received()
    assert isinstance(frame, Frame)
    assert (frame.opcode, bytes(frame.data), frame.fin) == (Theirs.TEXT, data, True)


def test_each_frame_has_a_mask_of_its_own() -> None:
    assert encode(Opcode.TEXT, b"same") != encode(Opcode.TEXT, b"same")


@pytest.mark.parametrize("seed", range(30))
def test_messages_come_out_however_the_bytes_are_cut(seed: int) -> None:
    chance = random.Random(seed)
    messages = [chance.randbytes(chance.choice([0, 1, 125, 126, 300])) for _ in range(chance.randint(0, 8))]
    wire = b"".join(server_frame(Opcode.TEXT, message) for message in messages)
    decoder = Decoder()
    while wire:
        cut = chance.choice([1, 2, 3, 10, 400])
        decoder.feed(wire[:cut])
        wire = wire[cut:]
    assert decoder.messages == messages


def test_a_message_of_many_bytes_arrives_in_pieces() -> None:
    message = bytes(range(256)) * 4000
    wire = server_frame(Opcode.BINARY, message)
    decoder = Decoder()
    for start in range(0, len(wire), 4096):
        assert decoder.messages == []
        decoder.feed(wire[start : start + 4096])
    assert decoder.messages == [message]


def test_fragments_are_joined_and_a_ping_between_them_is_heard() -> None:
    decoder = Decoder()
    decoder.feed(server_frame(Opcode.TEXT, b"one ", fin=False) + server_frame(Opcode.PING, b"there?"))
    decoder.feed(server_frame(Opcode.CONTINUATION, b"two ", fin=False) + server_frame(Opcode.CONTINUATION, b"three"))
    assert decoder.messages == [b"one two three"]
    assert decoder.pings == [b"there?"]


@pytest.mark.parametrize(
    ("data", "close"),
    [
        (b"", (1005, "")),
        (struct.pack("!H", 1000), (1000, "")),
        (struct.pack("!H", 1001) + b"going", (1001, "going")),
        (struct.pack("!H", 4000) + b"\xff", (4000, "\ufffd")),
    ],
    ids=["empty", "code", "reason", "bad-text"],
)
def test_a_close_frame_says_code_and_reason(data: bytes, close: tuple[int, str]) -> None:
    decoder = Decoder()
    decoder.feed(server_frame(Opcode.CLOSE, data))
    assert decoder.close == close


@pytest.mark.parametrize(
    ("wire", "words"),
    [
        (encode(Opcode.TEXT, b"x"), "masked"),
        (b"\xc1\x01x", "reserved"),
        (b"\x83\x00", "opcode 3"),
        (server_frame(Opcode.CONTINUATION, b"x"), "out of order"),
        (server_frame(Opcode.TEXT, b"x", fin=False) + server_frame(Opcode.TEXT, b"y"), "out of order"),
        (b"\x09\x00", "too long"),
        (b"\x89\x7e\x00\x7e" + b"x" * 126, "too long"),
    ],
    ids=["masked", "reserved", "opcode", "stray", "interleaved", "cut-ping", "long-ping"],
)
def test_what_no_server_may_send_is_an_error(wire: bytes, words: str) -> None:
    with pytest.raises(ProtocolError, match=words):
        Decoder().feed(wire)
