"""The keeper: process 1 of the lab's PID namespace. It makes hosts and starts programs in them.

When it ends, however that comes, the kernel ends every process of the lab with it, those that
turned themselves into daemons included. It ends when the lab process closes the connection.
"""
