"""Generation: output that becomes input, in compiled runs; decoding, stopping, beam search.

decoding   the options, and the random numbers
machine    a spec made ready to write: reads a prompt, writes a piece, keeps the state
beam       the most probable sequence
writer     all of it together; `unfold.api` and `unfold generate` call this
"""

from unfold.generation.decoding import Decoding
from unfold.generation.writer import Wish, Writer, Written

__all__ = ["Decoding", "Wish", "Writer", "Written"]
