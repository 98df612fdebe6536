"""What differs between two states of one node, as typed changes, and what each one sends.

Pure: two values in, changes out. Order of application is `steps`, applying is `malha.host`.
"""
