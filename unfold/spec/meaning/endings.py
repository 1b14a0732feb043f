"""The parts of a spec outside of the equations: the loss, the stopping rule and the outputs."""

from __future__ import annotations

from unfold.core.build import Builder, Term
from unfold.core.origin import Written
from unfold.core.program import BATCH, Program, StopRule
from unfold.core.types import BOOL, Type
from unfold.spec.file.model import Spec
from unfold.spec.meaning.equations import name_root
from unfold.spec.meaning.infer import Inference
from unfold.spec.meaning.scope import Scope
from unfold.spec.meaning.sizes import size
from unfold.spec.meaning.sketch import UNKNOWN, may_have
from unfold.spec.meaning.translate import Translator
from unfold.spec.text.expression import Expr, Reference
from unfold.spec.text.problems import Problems, already_reported, fail
from unfold.spec.text.suggest import did_you_mean, listing, shortened

LOSS, STOP, EXTENT = "loss", "stop", "extent."


class Endings:
    """Translates loss, stop and outputs of a spec.

    Args:
        spec: the file.
        scope: its names.
        inference: the known facts about definitions.
    """

    def __init__(self, spec: Spec, scope: Scope, inference: Inference) -> None:
        self.spec, self.scope, self.inference = spec, scope, inference
        self.loss_name = self.free(LOSS)
        self.added: set[str] = set()

    def free(self, name: str) -> str:
        """Return a name for a value of these sections that no node has."""
        names = self.inference.names
        while name in names.definitions or name in names.aliases:
            name += "'"
        return name

    def check(self, problems: Problems) -> None:
        """Add the mistakes of all three to `problems`."""
        if self.spec.loss is not None:
            with problems.collect():
                self.loss(self.inference.sketch(LOSS))
        with problems.collect():
            self.stop(self.inference.sketch(STOP))
        for expression in self.spec.outputs:
            with problems.collect():
                self.output(expression)

    def add(self, builder: Builder) -> StopRule | None:
        """Add the values of loss and stop to a Program; return the rule that reads the latter."""
        if self.spec.loss is not None:
            builder.origin, builder.at = Written(self.loss_name), self.spec.loss.at.location
            name_root(builder, self.loss(builder), self.loss_name, ())
        rule = self.stop(builder)
        self.added = {self.loss_name, *(rule.values if rule is not None else ())}
        return rule

    def term(self, builder: Builder, expression: Expr, axes: tuple[str, ...], what: str) -> Term:
        """Translate an expression of one of these sections."""
        inference = self.inference
        translator = Translator(builder, inference.names, inference.headers, self.scope, axes, what)
        return translator.whole(expression)

    def loss(self, builder: Builder) -> Term:
        """Translate the loss: a number per sequence, then the mean over the batch."""
        expression = self.spec.loss
        assert expression is not None
        term = self.term(builder, expression, (), "the loss")
        if term.type is not UNKNOWN and term.type != Type():
            advice = "reduce its features with sum(…) or mean(…)"
            if term.type.kind != "real":
                advice = "compare numbers, as in mse(o[t], y[t]) or cross_entropy(o[t], y[t])"
            raise fail(
                "the loss must be a number",
                expression.at.location,
                f"{shortened(expression.at.source)} is {term.type.show()}",
                help=advice,
            )
        if BATCH not in term.axes:
            return term
        return builder.sum(term, [BATCH]) / builder.emit("count", (), reduced=[BATCH], type=Type())

    def stop(self, builder: Builder) -> StopRule | None:
        """Translate the condition and the predicted extents that end a free run."""
        stop = self.spec.stop
        if stop is None:
            return None
        at_most = None
        if stop.at_most is not None:
            at_most = int(size(stop.at_most, self.scope))
        when = None
        if stop.when is not None:
            when = self.free(STOP)
            builder.origin, builder.at = Written(when), stop.when.at.location
            term = self.condition(builder, stop.when)
            name_root(builder, term, when, term.axes)
        extents: dict[str, str] = {}
        for axis, expression in stop.extent:
            if axis.value not in self.scope.axes and axis.value in self.scope.broken:
                raise already_reported()
            if axis.value not in self.scope.axes:
                known = f"the axes are {listing(self.scope.axes) or 'none'}"
                raise fail(
                    f"unknown axis {axis.value}",
                    axis.at.location,
                    help=did_you_mean(axis.value, self.scope.axes) or known,
                )
            name = extents[axis.value] = self.free(f"{EXTENT}{axis.value}")
            builder.origin, builder.at = Written(name), expression.at.location
            term = self.prediction(builder, expression, axis.value)
            name_root(builder, term, name, term.axes)
        return StopRule(when, extents, at_most)

    def condition(self, builder: Builder, expression: Expr) -> Term:
        """Translate `when`: a condition along one axis."""
        every = tuple(self.scope.axes.values())
        term = self.term(builder, expression, every, STOP)
        own = [a for a in term.axes if a != BATCH]
        missing = not any(may_have(term, a) for a in every)
        if term.type not in (UNKNOWN, BOOL) or missing or len(own) > 1:
            axes = f"with the ax{'i' if len(own) == 1 else 'e'}s {listing(own)}"
            raise fail(
                "stop needs one condition along one axis",
                expression.at.location,
                f"{shortened(expression.at.source)} is {term.type.show()}"
                f" {axes if own else 'without an axis'}",
                help="write  when: argmax(o[t]) == 0,  or  when: sum(o[t]) > 0.5",
            )
        return term

    def prediction(self, builder: Builder, expression: Expr, axis: str) -> Term:
        """Translate a predicted extent: a number per sequence."""
        term = self.term(builder, expression, (), f"the extent of {axis}")
        if term.type not in (UNKNOWN, Type()):
            raise fail(
                f"the extent of {axis} must be a number",
                expression.at.location,
                f"{shortened(expression.at.source)} is {term.type.show()}",
                help="reduce it to one number per sequence",
            )
        return term

    def output(self, expression: Reference) -> str:
        """Return the value that an entry of `outputs` names."""
        name, names = expression.name, self.inference.names
        found = names.resolve(self.scope.full(name))
        if found is None and names.is_broken(name):
            raise already_reported()
        if found is None:
            known = names.visible(self.scope)
            raise fail(
                f"unknown output {name}",
                expression.at.location,
                help=did_you_mean(name, known) or f"an output must be a node: {listing(known)}",
            )
        return found

    def outputs(self, program: Program) -> tuple[str, ...]:
        """Return the declared outputs, else the values that the loss reads, else unread values."""
        if self.spec.outputs:
            return tuple(dict.fromkeys(self.output(e) for e in self.spec.outputs))
        loss = [v for v in program if v.node == program.loss]
        if loss:
            read = [r.value for v in loss for r in program.reads(v)]
        else:
            readers = [(v, r.value) for v in program for r in program.reads(v)]
            seen = {n for v, n in readers if v.node != program[n].node}
            read = [v.name for v in program if v.name not in seen]
        named = [n for n in dict.fromkeys(read) if program[n].is_named and n not in self.added]
        computed = [n for n in named if not program[n].is_given]
        return tuple(computed or named)
