"""GRLO Harness: did training in one domain transfer to the others, by how much, at what cost, and is it real?"""

__version__ = "0.1.0"
