"""Generation: output that becomes input, in compiled runs; decoding, stopping, beam search.

decoding   the options, and the random numbers
feed       what a spec without feedback reads next
machine    a spec made ready to write: reads a prompt, writes a piece, keeps the state
beam       the most probable sequence
writer     all of it together; `unfold.api` and `unfold generate` call this
symbols    the text that symbols stand for
"""

from unfold.generation.decoding import Decoding
from unfold.generation.feed import feed_of
from unfold.generation.symbols import Alphabet
from unfold.generation.writer import Wish, Writer, Written, make_wish

__all__ = ["Alphabet", "Decoding", "Wish", "Writer", "Written", "feed_of", "make_wish"]
