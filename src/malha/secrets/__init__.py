"""Where private keys live, and how they are made. Effects.

Private keys are joined to a node's state at the last moment and never leave here otherwise.
"""
