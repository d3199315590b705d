"""How much of a message a client and we take: of one connection."""

from dataclasses import dataclass
from typing import Final

from asyncua import ua
from asyncua.common.connection import TransportLimits

from plc_bindings.opcua.options import MOST_ANSWER_BYTES

CHUNK_OVERHEAD: Final = 1024
"""Headers, padding and signature of a chunk, at most."""


@dataclass
class Sizes(TransportLimits):
    """What we take, and what a client takes, which asyncua has for one thing. `answer_bytes`: of one answer."""

    answer_bytes: int = MOST_ANSWER_BYTES

    def create_acknowledge_and_set_limits(self, msg: ua.Hello) -> ua.Acknowledge:
        """Take a client's Hello."""
        self.max_recv_buffer = min(msg.SendBufferSize, self.max_recv_buffer)
        self.max_send_buffer = min(msg.ReceiveBufferSize, self.max_send_buffer)
        in_chunks = msg.MaxChunkCount * max(self.max_send_buffer - CHUNK_OVERHEAD, 0)
        self.answer_bytes = min(most for most in (self.answer_bytes, msg.MaxMessageSize, in_chunks) if most)
        ack = ua.Acknowledge()
        ack.ReceiveBufferSize, ack.SendBufferSize = ua.UInt32(self.max_recv_buffer), ua.UInt32(self.max_send_buffer)
        ack.MaxMessageSize, ack.MaxChunkCount = ua.UInt32(self.max_message_size), ua.UInt32(self.max_chunk_count)
        return ack
