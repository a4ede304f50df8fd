"""The capture file: every byte that crossed the sockets, and where each exchange lies in them."""
