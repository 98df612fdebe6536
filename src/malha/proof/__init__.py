"""One packet followed hop by hop; every pair; the cause when it does not arrive.

Pure. It reads the Device and Peer values that render writes, never the topology that made
them: it must be able to catch the compiler.
"""

from malha.proof.prove import Failure, Finding, Proof, prove

__all__ = ["Failure", "Finding", "Proof", "prove"]
