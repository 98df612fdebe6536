"""One Linux machine: make its devices, addresses, routes and forwarding what a NodeState says.

Rule: every command is a subprocess of the machine (`ip`, `wg`, `nft`), keys go by standard input
or by the UAPI socket, and running a step twice leaves what running it once leaves.
"""
