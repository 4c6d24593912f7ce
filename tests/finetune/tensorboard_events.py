"""Reads what TensorBoard would: records of length, checksum, event, checksum."""

import struct

from tensorboardX.proto.event_pb2 import Event


def scalars(folder):
    """``{name: [value, ...]}`` of all event files of a folder, in order."""
    found = {}
    for path in sorted(folder.iterdir()):
        content = path.read_bytes()
        at = 0
        while at < len(content):
            (length,) = struct.unpack_from("<Q", content, at)
            event = Event.FromString(content[at + 12 : at + 12 + length])
            for value in event.summary.value:
                found.setdefault(value.tag, []).append(value.simple_value)
            at += 16 + length
    return found
