"""Program → Plan: what becomes of each equation, in which loops, and how much of it is kept."""
