"""WireGuard's own nouns: keys, endpoints, peers, devices, and what one machine carries of them.

Pure: values in, values out. Nothing here opens a socket, reads a file or derives a key
(the standard library has no X25519; `malha.secrets` derives).
"""
