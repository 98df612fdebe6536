"""The overlay on one machine: one namespace per node, real WireGuard, an emulated internet.

A library first: tests start a `malha.lab.lab.Lab`, inject faults through its `wan`, and look.
Rule: nothing outlives the process that started it, and nothing of the machine is changed.
"""
