#!/usr/bin/env python3
"""What a write to each of 200 loopback connections costs the sender: copied, by reference from a file in memory
(sendfile), and by MSG_ZEROCOPY with its completions read. The calls' own cost in Python is in all three.

    python3 network/benches/zerocopy.py BYTES ROUNDS
"""

import os
import select
import socket
import sys
import time

SO_ZEROCOPY, MSG_ZEROCOPY = 60, 0x4000000
CONNECTIONS = 200


def connected():
    server = socket.create_server(("127.0.0.1", 0), backlog=CONNECTIONS)
    for _ in range(CONNECTIONS):
        client = socket.create_connection(server.getsockname())
        sender, _ = server.accept()
        sender.setsockopt(socket.SOL_SOCKET, SO_ZEROCOPY, 1)
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
        yield sender, client


def discard(clients):
    """Takes what comes until all senders have gone; the kernel throws it away."""
    os.sched_setaffinity(0, {1})
    poll = select.epoll()
    by_number = {client.fileno(): client for client in clients}
    for client in clients:
        poll.register(client, select.EPOLLIN)
    while by_number:
        for number, _ in poll.poll():
            if not by_number[number].recv(1 << 20, socket.MSG_TRUNC):
                poll.unregister(number)
                del by_number[number]


def completions(sender):
    sender.setblocking(False)
    try:
        while True:
            sender.recvmsg(0, 256, socket.MSG_ERRQUEUE)
    except BlockingIOError:
        sender.settimeout(5)


def main():
    size, rounds = int(sys.argv[1]), int(sys.argv[2])
    pairs = list(connected())
    senders, clients = [sender for sender, _ in pairs], [client for _, client in pairs]
    if os.fork() == 0:
        for sender in senders:
            sender.close()
        discard(clients)
        os._exit(0)
    for client in clients:
        client.close()
    os.sched_setaffinity(0, {0})
    data, memory = bytes(size), os.memfd_create("data")
    os.write(memory, data)
    for sender in senders:
        sender.settimeout(5)
    ways = {
        "copied": lambda sender: sender.send(data),
        "sendfile": lambda sender: os.sendfile(sender.fileno(), memory, 0, size),
        "MSG_ZEROCOPY": lambda sender: sender.send(data, MSG_ZEROCOPY),
    }
    for name, way in list(ways.items()) * 2:
        began = time.process_time()
        for _ in range(rounds):
            for sender in senders:
                way(sender)
            if name == "MSG_ZEROCOPY":
                for sender in senders:
                    completions(sender)
            time.sleep(0.05)
        used = (time.process_time() - began) / rounds / CONNECTIONS
        print(f"{name:12}  {used * 1e6:6.2f} us a write  {used / (size * 8e-9):.3f} CPU s per Gbit")


main()
