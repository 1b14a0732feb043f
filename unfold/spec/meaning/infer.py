"""Inference: the axes and type of every definition.

Types of recurrent equations depend on one another. Inference translates every equation with the
types known so far. A new fact about a value leads to a new translation of its readers, until
nothing changes. If that ends without an answer, one equation is guessed (see `sketch`), and so on;
a guess that was too small grows. A size of a cell without a value is bound on the way, when the
argument that decides it is known.

The mistakes of an equation are those of its last translation, which used all known facts.
"""

from __future__ import annotations

from collections.abc import Iterable

from unfold.core.origin import Written
from unfold.core.paths import reachable
from unfold.core.program import BATCH, Axis
from unfold.core.types import Dim, Type, dims
from unfold.errors import SpecError
from unfold.spec.meaning.boundaries import boundary_axes, check_twice
from unfold.spec.meaning.equations import translate
from unfold.spec.meaning.hints import unknown_name
from unfold.spec.meaning.init_rules import check_init
from unfold.spec.meaning.limits import check_rank, check_total
from unfold.spec.meaning.scope import Argument, Boundary, Definition, Names, Sharing
from unfold.spec.meaning.sizes import size
from unfold.spec.meaning.sketch import GUESSES, UNKNOWN, Guess, Sketch
from unfold.spec.meaning.translate import Header
from unfold.spec.text.expression import Expr, Reference, walk
from unfold.spec.text.problems import Problems, already_reported, fail
from unfold.spec.text.suggest import listing, shortened

MAX_MISTAKES = 100

Item = Definition | Boundary | Argument | Sharing


class Inference:
    """The axes and types of all definitions.

    Args:
        names: every definition.
        axes: every axis.

    Attributes:
        headers: axes and type of each definition; UNKNOWN until it is found out.
        types: the types alone.
    """

    def __init__(self, names: Names, axes: dict[str, Axis]) -> None:
        self.names, self.axes = names, axes
        self.headers: dict[str, Header] = {}
        self.types: dict[str, Type] = {}
        for definition in names.definitions.values():
            batch = (BATCH,) if definition.input is not None else ()
            self.headers[definition.name] = Header(batch + definition.axes, UNKNOWN)
            self.types[definition.name] = UNKNOWN
        self.items: list[Item] = [
            *names.bindings,
            *names.definitions.values(),
            *names.sharings,
            *names.boundaries,
        ]
        self.readers: dict[str, list[int]] = {}
        self.members: dict[int, list[int]] = {}
        for position, item in enumerate(self.items):
            for name in self._reads(item):
                self.readers.setdefault(name, []).append(position)
            self.members.setdefault(id(item.scope), []).append(position)
        self.mistakes: dict[int, SpecError] = {}
        # The equations without an answer, by the guess that is to be tried next.
        self.undecided: dict[Guess, dict[int, None]] = {g: {} for g in GUESSES}
        self.guess: Guess = ""

    def run(self, problems: Problems) -> None:
        """Infer everything, and add the mistakes to `problems`."""
        self._settle(range(len(self.items)))
        while (guessed := self._guess()) is not None:
            self._settle(guessed)
        check_twice(self.names, self.headers, problems)
        mistaken = [self.items[p] for p in self.mistakes]
        wrong = {id(i.scope) for i in mistaken if isinstance(i, Argument | Sharing)}
        # Names inside a mistaken instance are not searched.
        heads = {i.name for i in mistaken if isinstance(i, Definition)}
        for position in sorted(self.mistakes):
            with problems.collect():
                if not self._follows(self.items[position], wrong, heads):
                    raise self.mistakes[position]

    def _follows(self, item: Item, wrong: set[int], heads: set[str]) -> bool:
        """Tell whether a mistake can only come from a call that is mistaken itself."""
        inside = {n.rpartition(".")[0] for n in self._names(item)}
        if heads & (inside - {item.scope.prefix[:-1]}):
            return True
        if isinstance(item, Argument | Sharing) or not wrong:
            return False
        read = (self.names.definitions[n].scope for n in self._reads(item))
        scopes = (item.scope, *read)
        return any(id(s) in wrong for scope in scopes for s in scope.callers())

    def sketch(self, node: str = "") -> Sketch:
        """Return a scratch builder for one equation."""
        return Sketch(self.axes, origin=Written(node), pending=self.types, guess=self.guess)

    def _reads(self, item: Item) -> set[str]:
        """Return the values whose headers an item needs."""
        resolved = (self.names.resolve(n) for n in self._names(item))
        return {n for n in resolved if n is not None}

    def _names(self, item: Item) -> list[str]:
        """Return the full names that an item mentions."""
        match item:
            case Definition():
                expressions, extra = [item.expression], []
            case Boundary():
                expressions, extra = [*item.initial.expressions], [item.name]
            case Argument() | Sharing():
                expressions, extra = [], [item.value]
        written = [
            item.scope.full(e.name)
            for x in expressions
            if x is not None
            for e in walk(x)
            if isinstance(e, Reference)
        ]
        return list(dict.fromkeys([*written, *extra]))

    def _settle(self, positions: Iterable[int]) -> None:
        """Work through items, and through those that their news concern, until there is no news."""
        work = dict.fromkeys(positions)
        while work:
            position = next(iter(work))
            del work[position]
            if len(self.mistakes) < MAX_MISTAKES:
                work |= dict.fromkeys(self._step(position))

    def _step(self, position: int) -> list[int]:
        """Work on one item; return the items that its news concern."""
        item = self.items[position]
        self.mistakes.pop(position, None)
        for waiting in self.undecided.values():
            waiting.pop(position, None)
        try:
            match item:
                case Definition():
                    return self._definition(position, item)
                case Boundary():
                    return self._boundary(item)
                case Argument():
                    return self._binding(item)
                case Sharing():
                    return self._sharing(item)
        except SpecError as error:
            called = isinstance(item, Argument | Sharing) and item.scope.caller is not None
            scope = item.scope.caller if called else item.scope
            self.mistakes[position] = scope.traced(error) if scope is not None else error
            return []

    def _spoilt(self) -> set[int]:
        """Return the items that depend on a mistake, so that nothing is guessed about them."""

        def follow(position: int) -> list[int]:
            item = self.items[position]
            if isinstance(item, Definition):
                return self.readers.get(item.name, [])
            return [] if isinstance(item, Boundary) else self.members[id(item.scope)]

        spoilt = (p for p, item in enumerate(self.items) if self._is_spoilt(p, item))
        return reachable(spoilt, follow)

    def _is_spoilt(self, position: int, item: Item) -> bool:
        return position in self.mistakes or any(map(self.names.is_broken, self._names(item)))

    def _guess(self) -> list[int] | None:
        """Guess the type of one equation; return the items it concerns, or None."""
        spoilt = self._spoilt() if self.mistakes or self.names.broken else ()
        for position in spoilt:
            for waiting in self.undecided.values():
                waiting.pop(position, None)
        try:
            for guess, later in zip(GUESSES, (*GUESSES[1:], None), strict=True):
                self.guess = guess
                while waiting := self.undecided[guess]:
                    position = next(iter(waiting))
                    news = self._step(position)
                    if news:
                        return news
                    self.mistakes.pop(position, None)  # of the guess, not of the equation
                    if later is not None:
                        self.undecided[later][position] = None
            return None
        finally:
            self.guess = ""

    def _update(self, name: str, *, type: Type = UNKNOWN, batched: bool = False) -> list[int]:
        """Record new facts about a value; return the items that they concern."""
        old = self.headers[name]
        axes = old.axes
        if batched and BATCH not in axes and self.names.definitions[name].expression is not None:
            axes = (BATCH, *axes)
        new = Header(axes, type if _grows(old.type, type) else old.type)
        self.headers[name], self.types[name] = new, new.type
        return self.readers.get(name, []) if new != old else []

    def _definition(self, position: int, definition: Definition) -> list[int]:
        """Find out the type of one definition, and whether it differs per sequence."""
        name = definition.name
        if definition.expression is None:
            declared = self._declared(definition)
            return [] if declared is None else self._update(name, type=declared)
        if self.guess == "initial":
            return self._update(name, type=self._initial_type(name))
        term = translate(definition, self.sketch(name), self.names, self.headers)
        if term.type is UNKNOWN and not self.guess:
            self.undecided[GUESSES[0]][position] = None
        check_rank(term.type, definition.at)
        known = self.types[name]
        if (
            UNKNOWN not in (known, term.type)
            and known != term.type
            and not _grows(known, term.type)
        ):
            raise fail(
                f"{definition.what or definition.at.source} cannot have two types",
                definition.expression.at.location,
                f"its expression is {term.type.show()}, but its readers need {known.show()}",
                help="declare its shape, as in"
                f"  {definition.at.source}: {{is: …, shape: [hidden]}}",
            )
        return self._update(name, type=term.type, batched=BATCH in term.axes)

    def _initial_type(self, name: str) -> Type:
        """Return the type of a value's initial value, unless that is a literal number."""
        for boundary in self.names.boundaries:
            if self.names.resolve(boundary.name) == name:
                sketch = self.sketch()
                _, _, term = boundary_axes(self.names, self.headers, boundary, sketch)
                if term is not None and not sketch.is_literal(term):
                    return term.type
        return UNKNOWN

    def _declared(self, definition: Definition) -> Type | None:
        """Return the declared type of a parameter or input; None while a size is not bound."""
        scope = definition.scope
        declaration = definition.parameter or definition.input
        assert declaration is not None, definition
        sizes = declaration.shape
        is_category = definition.input is not None and definition.input.category is not None
        if is_category:
            assert definition.input is not None and definition.input.category is not None
            sizes = (definition.input.category,)
        if any(scope.is_pending(s) for s in sizes):
            return None
        found = Type(tuple(size(s, scope) for s in sizes), "category" if is_category else "real")
        check_rank(found, definition.at)
        kind = "parameter" if definition.parameter is not None else "input"
        check_total(f"the {kind} {definition.name}", found, definition, self.axes)
        if definition.parameter is not None and definition.parameter.init is not None:
            check_init(definition, definition.parameter.init, found, self.axes)
        return found

    def _binding(self, binding: Argument) -> list[int]:
        """Bind the sizes of a cell to the shape of an argument."""
        scope, declaration, argument = binding.scope, binding.declaration, binding.argument
        resolved = self.names.resolve(binding.value)
        if resolved is None:
            assert isinstance(argument, Reference) and scope.caller is not None, binding
            if self.names.is_broken(binding.value):
                raise already_reported()
            raise unknown_name(argument, self.names, scope.caller)
        given = self.types[resolved]
        if given is UNKNOWN:
            return []
        is_category = declaration.category is not None
        wanted = declaration.shape if declaration.category is None else (declaration.category,)
        fits = len(wanted) == len(given.shape) and given.kind != "bool"
        news: list[int] = []
        for expression, dim in zip(wanted, dims(given.shape), strict=True) if fits else ():
            text = expression.at.source
            if text in scope.unbound and text not in scope.sizes and text not in scope.deferred:
                scope.sizes[text] = Dim(dim, dim.text if not dim.text.isdigit() else text)
                news += self._bound()
            elif not scope.is_pending(expression) and size(expression, scope) != dim:
                fits = False
        if not fits or (is_category and given.kind != "category"):
            raise self._misfit(binding, given, wanted)
        return news

    def _bound(self) -> list[int]:
        """Evaluate sizes that follow from a new one; return the items of all such instances."""
        changed = True
        while changed:
            changed = False
            for scope in self.names.instances:
                for name, (expression, whose) in scope.deferred.items():
                    if name not in scope.sizes and not whose.is_pending(expression):
                        scope.sizes[name] = Dim(size(expression, whose), name)
                        changed = True
        return [p for s in self.names.instances for p in self.members.get(id(s), [])]

    def _misfit(self, binding: Argument, given: Type, wanted: tuple[Expr, ...]) -> SpecError:
        scope, name = binding.scope, binding.declaration.target.name
        kind = "real" if binding.declaration.category is None else "category"
        if any(scope.is_pending(e) for e in wanted):
            form = f"[{', '.join(e.at.source for e in wanted)}]"
        else:
            form = Type(tuple(size(e, scope) for e in wanted), kind).show()
        source = shortened(binding.argument.at.source)
        plain = {0: "a number", 1: "a vector"}.get(len(wanted), "an array of that shape")
        advice = f"give it {plain if kind == 'real' else 'a category of that many classes'}"
        if given.kind == "bool":
            advice = "choose numbers with where(condition, 1, 0)"
        elif len(given.shape) == len(wanted) and kind == "real":
            advice = "sizes that inputs share must be equal in all arguments and options of a call"
        return fail(
            f"the argument does not fit the input {name} of the cell {scope.spec.name}",
            binding.argument.at.location,
            f"{source} is {given.show()}; {name} must be {form}",
            help=advice,
        )

    def _sharing(self, sharing: Sharing) -> list[int]:
        """Check that a parameter of another instance has the shape that this one needs."""
        scope, declaration = sharing.scope, sharing.declaration
        resolved = self.names.resolve(sharing.value)
        given = self.types[resolved] if resolved is not None else UNKNOWN
        if given is UNKNOWN or any(scope.is_pending(s) for s in declaration.shape):
            return []
        wanted = Type(tuple(size(s, scope) for s in declaration.shape))
        if given != wanted:
            name = declaration.target.name
            raise fail(
                f"the parameters of {sharing.at.source} do not fit here",
                sharing.at.location,
                f"{name} of {sharing.at.source} is {given.show()}; here it must be {wanted.show()}",
                help="give both instances the same sizes, and arguments of the same shape",
            )
        return []

    def _boundary(self, boundary: Boundary) -> list[int]:
        """Find out whether an initial value makes a value differ per sequence."""
        name, axes, term = boundary_axes(self.names, self.headers, boundary, self.sketch())
        if axes and term is not None and BATCH in term.axes:
            if self.names.definitions[name].parameter is not None:
                raise _own_boundary(name, boundary)
            return self._update(name, batched=True)
        return []

    def check_known(self) -> None:
        """Report equations whose shape remains undecided."""
        unknown = [d for d in self.names.definitions.values() if self.types[d.name] is UNKNOWN]
        if unknown:
            # The mistake must be fixed in a named equation of the spec itself.
            first = min(unknown, key=lambda d: (d.equation is None, d.name.count(".")))
            others = [d.name for d in unknown if d is not first]
            notes = (f"neither can that of {listing(others)}",) if others else ()
            raise first.scope.traced(
                fail(
                    f"the shape of {first.name} cannot be inferred",
                    first.at.location,
                    *notes,
                    help=f"declare it, as in  {first.at.source}: {{is: …, shape: [hidden]}}"
                    ", or  shape: []  for a number",
                )
            )


def _grows(known: Type, found: Type) -> bool:
    """Whether a type may follow the known, or guessed, type: dimensions of 1 are repeated."""
    if known is UNKNOWN or known.kind == "category" or known.kind != found.kind:
        return known is UNKNOWN
    return not known.shape or (
        len(known.shape) == len(found.shape)
        and all(k in (1, f) for k, f in zip(known.shape, found.shape, strict=True))
    )


def _own_boundary(name: str, boundary: Boundary) -> SpecError:
    """Describe a parameter that would have other values for every sequence at its ends."""
    initial = boundary.initial
    what = "where it ends" if initial.value is None else shortened(initial.value.at.source)
    return fail(
        f"the initial value of the parameter {initial.name} differs between sequences",
        initial.value_at.location,
        f"{what} is computed for every sequence of a batch, but all sequences share {name}",
        help="copy the parameter into a node and give the node the initial value:"
        f"  nodes: {{own[…]: {initial.name}[…]}}, initial: {{own: …}}",
    )
