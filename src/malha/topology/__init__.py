"""Which pairs are linked, which way each pair's packets go, and each peer's allowed IPs.

Pure: an Overlay in, NodeStates out. Paths are symmetric by construction (cryptokey routing
accepts a packet only from the peer through which the answer would leave).
"""
