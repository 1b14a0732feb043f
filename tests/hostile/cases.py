"""The hostile files: name -> text, made up here because most of them are large.

`FILES` are further files of the folder they lie in, which some of them name.
"""

from __future__ import annotations

CANARY = "executed"
HEAD = "unfold: 1\nname: hostile\naxes: {t: 5}\nsizes: {n: 4}\ninputs:\n  x[t]: [n]\n"
NODE = "nodes:\n  h[t]: tanh(x[t])\n"
RUN = f"open('{CANARY}', 'w')"
DIGITS = "9" * 10_001
PRODUCT = "*".join(["t", *["999999999"] * 50])
LETTERS = "abcdefghijklmno"
MANY_AXES = ",".join(f"a{i}" for i in range(60))


def node(expression: str) -> str:
    """Return a spec with one node."""
    return f"{HEAD}nodes:\n  h[t]: {expression}\n"


def sized(size: str) -> str:
    """Return a spec with one size."""
    return HEAD.replace("n: 4", f"n: {size}") + NODE


def parameter(value: str) -> str:
    """Return a spec with one parameter."""
    return f"{HEAD}parameters:\n  W: {value}\n{NODE}"


def bomb(levels: int = 40) -> str:
    """Return a file whose aliases unfold to 9 ** levels values ("a billion laughs")."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    for i in range(1, levels):
        lines.append(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]")
    return "\n".join(lines) + "\n"


def block_nesting(depth: int) -> str:
    """Return mappings inside of mappings, each a space deeper."""
    return "".join(" " * i + "a:\n" for i in range(depth))


def entries(section: str, count: int, entry: str) -> str:
    """Return a spec with a section of many entries: {0} is the number of one, {1} the next one."""
    end = "" if section == "nodes" else NODE
    lines = (f"  {entry.format(i, (i + 1) % count)}\n" for i in range(count))
    return f"{HEAD}{section}:\n{''.join(lines)}{end}"


def cell(name: str, body: str, uses: str = "") -> str:
    """Return a cell file."""
    return (
        f"unfold: 1\ncell: {name}\naxes: [t]\nsizes: {{n: }}\n{uses}inputs: {{x[t]: [n]}}\n"
        f"nodes:\n{body}output: h[t]\n"
    )


def calling(path: str, call: str = "mine(x[t])") -> str:
    """Return a spec that uses a cell's file."""
    return f"{HEAD}use: {{mine: {path}}}\nnodes:\n  h[t]: {call}\n"


def _chain(i: int, calls: int) -> str:
    body = "".join(f"  g{k}[t]: next(x[t])\n" for k in range(calls)) + "  h[t]: g0[t]\n"
    return cell(f"c{i}", body, f"use: {{next: ./c{i + 1}.yaml}}\n")


FILES = {
    "self.yaml": cell("mine", "  h[t]: mine(x[t])\n", "use: {mine: ./././self.yaml}\n"),
    **{f"c{i}.yaml": _chain(i, 2) for i in range(40)},
    "stacks.yaml": cell("stacks", "  h[t]: {is: lstm(x[t], hidden=n), stack: 256}\n"),
    "bytes.yaml": b"unfold: 1\ncell: \xff\xfe\n",
    "huge.yaml": "#" * 3_000_000,
}

CASES: dict[str, str] = {
    # YAML
    "alias bomb": bomb(),
    "alias to itself": "a: &a [*a]\n",
    "merge bomb": "a: &a {x: 1}\nb:\n" + "  <<: *a\n" * 5000,
    "anchors": "".join(f"a{i}: &b{i} 1\n" for i in range(20_000)),
    "flow nesting": "[" * 1_000_000,
    "flow nesting below the limit of the file": HEAD + "nodes: " + "[" * 400_000,
    "mapping nesting": "{a: " * 120_000,
    "block nesting": block_nesting(900),
    "sequence nesting": "- " * 200_000,
    "closing brackets": "]" * 400_000,
    "question marks": "? " * 200_000,
    "scalar of 10 MB": f"about: {'a' * 10_000_000}\n",
    "quoted scalar of 10 MB": f'about: "{"a" * 10_000_000}"\n',
    "scalar near the limit": f"{HEAD}about: {'a ' * 31_000}\n{NODE}nonsense: 1\n",
    "line of 400 kB": f"{HEAD}{NODE}about: 'a' {'b' * 400_000}\n",
    "quotes": "\"'" * 200_000,
    "backslashes": 'a: "' + "\\" * 400_000,
    "colons": "a:" * 200_000,
    "commas": "a: {" + "," * 400_000,
    "spaces": "a:" + " " * 400_000 + "b",
    "tabs": "a:\n" + "\t" * 400_000,
    "line breaks": "\n" * 400_000,
    "carriage returns": "a: 1\r" * 80_000,
    "comments": "# x\n" * 19_000,
    "documents": "---\n" * 19_000,
    "directives": "%A\n" * 19_000,
    "python tag": f'!!python/object/apply:builtins.exec ["{RUN}"]\n',
    "python tag in a value": f"{HEAD}about: !!python/object/new:os.system [{CANARY}]\n{NODE}",
    "full tag": "a: !<tag:yaml.org,2002:python/object/apply:os.system> ['touch executed']\n",
    "binary tag": "a: !!binary aGVsbG8=\n",
    "set tag": "a: !!set {b, c}\n",
    "zero byte": "unfold: 1\x00\n",
    "escape sequences": "unfold: \x1b[2J1\n",
    "escaped escape sequences": 'unfold: "\\e[2J1"\n',
    "direction override": f"{HEAD}about: \u202e{NODE}",
    "lone surrogate": "unfold: \ud800\n",
    "byte order marks": "\ufeff" * 1000 + HEAD,
    "line separators": "unfold: 1\u2028name: a\n",
    "duplicate keys": f"{HEAD}nodes:\n" + "  h[t]: x[t]\n" * 5000,
    "names that are equal once composed": node("x[t]\n  ﬁ[t]: 1\n  fi[t]: 2"),
    "a hundred thousand keys": "".join(f"k{i}: 1\n" for i in range(100_000)),
    "nine thousand sections": "".join(f"k{i}: 1\n" for i in range(9000)),
    # names
    "import as a node": f"{HEAD}nodes:\n  __import__[t]: x[t]\n",
    "import as a call": node(f"__import__('os').system('touch {CANARY}')"),
    "exec as a call": node(f'exec("{RUN}")'),
    "eval in a size": sized(f'eval("{RUN}")'),
    "lambda": node("(lambda: 1)()"),
    "comprehension": node("[x for x in ().__class__.__bases__]"),
    "attributes": node("x.__class__.__mro__[1].__subclasses__()"),
    "format string": node("f'{x.__class__}'"),
    "walrus": node("(y := x[t])"),
    "await": node("await x[t]"),
    "name of 10 kB": node("a" * 10_000),
    "dots": node("a" + ".a" * 5000),
    "template in a name": "unfold: 1\nname: '{0.__class__}%s%n'\n" + NODE,
    # expressions
    "parentheses": node("(" * 1_000_000),
    "parentheses below the limits": node("(" * 2400 + "1" + ")" * 2400),
    "brackets in an index": node("x" + "[x" * 2400 + "]" * 2400),
    "minus signs": node("-" * 4900 + "1"),
    "nots": node("not " * 2400 + "1"),
    "a chain of sums": node("1" + "+1" * 2400),
    "a chain of powers": node("2" + "**2" * 2400),
    "a chain of comparisons": node("1" + "<1" * 2400),
    "a chain of calls": node("tanh(" * 2400 + "1" + ")" * 2400),
    "arguments": node("concat(" + "x[t]," * 2400 + "x[t])"),
    "keywords": node("tanh(x[t]," + ",".join(f"k{i}=1" for i in range(1200)) + ")"),
    "expression of 60 kB": node("x[t] + " * 8500 + "x[t]"),
    "string of 15 kB": node(f"einsum('{'a' * 15_000}', x[t])"),
    # numbers
    "size of 10000 digits": sized(DIGITS),
    "size as a product": sized("*".join(["9999999999"] * 500)),
    "size as a power": sized("9**9**9**9"),
    "extent of 10000 digits": HEAD.replace("t: 5", f"t: {DIGITS}") + NODE,
    "extent as a product": HEAD.replace("t: 5", f"t: 5, u: {PRODUCT}") + NODE,
    "number of 10000 digits": node(f"x[t] * {DIGITS}"),
    "float of 10000 digits": node(f"x[t] * 1.{DIGITS}"),
    "float overflow": node("x[t] * 1e999999999"),
    "index of 10000 digits": node(f"x[t-{DIGITS}]"),
    "index as a product": node(f"x[{PRODUCT}]"),
    "class of 10000 digits": node("argmax(x[t])") + f"  g[t]: h[t-1]\ninitial: {{h: {DIGITS}}}\n",
    "constant of 10000 digits": parameter(f"{{shape: [n], init: {{constant: {DIGITS}}}}}"),
    "stack of 10000 digits": node(f"{{is: lstm(x[t]), stack: {DIGITS}}}"),
    "version of 10000 digits": f"unfold: {DIGITS}\n",
    "hexadecimal": sized("0x" + "F" * 5000),
    "underscores": sized("1" + "_1" * 2000),
    "infinite size": sized(".inf"),
    # sizes
    "size of a million millions": sized("1000000000000"),
    "extent of a million millions": HEAD.replace("t: 5", "t: 1000000000000") + NODE,
    "product of sizes": parameter("[n, n]").replace("n: 4", "n: 1000000"),
    "product of size and extent": HEAD.replace("t: 5", "t: 1000000000") + NODE,
    "product of extents": (
        "unfold: 1\nname: m\naxes: {s: 100000, t: 100000}\nnodes:\n  h[s,t]: s + t\n"
    ),
    "outer product": node("einsum('i,j->ij', x[t], x[t])").replace("n: 4", "n: 100000"),
    "outer product of many": node(
        f"einsum('{','.join(LETTERS)}->{LETTERS}', {', '.join(['x[t]'] * len(LETTERS))})"
    ),
    "broadcast": node("{is: 1, shape: [2000000000, 2000000000]}"),
    "random numbers": node("normal(shape=[2000000000, 2000000000])"),
    "shape of many dimensions": node(f"reshape(x[t], shape=[{'1, ' * 2000}4])"),
    "parameter of many dimensions": parameter(f"[{'1, ' * 5000}4]"),
    "node of many axes": f"unfold: 1\nname: m\naxes: [{MANY_AXES}]\nnodes:\n  h[{MANY_AXES}]: 1\n",
    "many axes": entries("axes", 5000, "a{}: 1").replace("axes: {t: 5}\n", ""),
    "chain of extents": entries("axes", 2500, "a{0}: a{0} + 1").replace("axes: {t: 5}\n", ""),
    "extents like rabbits": HEAD.replace(
        "t: 5",
        "t: , a0: t, a1: t, " + ", ".join(f"a{i}: a{i - 1} + a{i - 2}" for i in range(2, 60)),
    )
    + "nodes:\n  h[a59]: a\n",
    "many sizes": entries("sizes", 5000, "s{}: 1").replace("sizes: {n: 4}\n", ""),
    "values of many numbers": parameter(f"{{shape: [n], init: {{values: [{'1, ' * 19_000}1]}}}}"),
    # many mistakes
    "many unknown names": entries("nodes", 1000, "h{0}[t]: y{0}[t] + z{0}"),
    "many unknown sizes": entries("parameters", 1000, "W{0}: [m{0}, n]"),
    "many cycles": entries("nodes", 800, "h{0}[t]: h{0}[t]"),
    "one long cycle": entries("nodes", 800, "h{0}[t]: h{1}[t]"),
    "many cells that are missing": entries("nodes", 1500, "h{0}[t]: mine(x[t])").replace(
        "inputs:", "use: {mine: no.yaml}\ninputs:"
    ),
    # cells
    "stack of 1000": node("{is: lstm(x[t], hidden=n), stack: 1000}"),
    "stacks of stacks": calling("stacks.yaml", "{is: mine(x[t]), stack: 256}"),
    "cell in itself": calling("self.yaml"),
    "cells that double 40 times": calling("c0.yaml"),
    "cell that is a device": calling("/dev/zero"),
    "cell that is a pipe": calling("pipe"),
    "cell that is a folder": calling("."),
    "cell that is no text": calling("bytes.yaml"),
    "cell that is huge": calling("huge.yaml"),
    "cell that is a password file": calling("/etc/passwd"),
    "cell with a long path": calling("a/" * 15_000),
    "cell with an empty path": calling('""'),
    "cell with a zero byte": calling('"\\0"'),
    "cell called from everywhere": entries("nodes", 1000, "h{0}[t]: mine(x[t])").replace(
        "inputs:", "use: {mine: c0.yaml}\ninputs:"
    ),
}
