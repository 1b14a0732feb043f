"""Published experiments done again: embedded Reber, aⁿbⁿ, adding.

    python -m examples.reproductions                    all of them, into docs/reproductions.md
    python -m examples.reproductions anbn-srn --seeds 3 --no-page

One spec per experiment lies here, in the notation of its paper, and can be run by itself:
`unfold run examples/reproductions/adding-lstm.yaml`.
"""
