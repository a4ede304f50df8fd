"""What is forwarded to real servers, byte for byte: reverse proxy and forward proxy."""
