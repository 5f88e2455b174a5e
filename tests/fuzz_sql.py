"""Hypothesis strategies that compose queries over the tables of `fuzz_tables`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fuzz_tables import KINDS, TABLES, VALUES, literal
from hypothesis import strategies as st

NUMBERS = "ibdm"
COMPARISONS = ("=", "<>", "<", "<=", ">", ">=")
FOCUSES = ("expressions", "joins", "aggregates", "set_operations", "subqueries")


@dataclass(frozen=True)
class Query:
    """A query, and whether it states the order of its rows by all its columns."""

    sql: str
    width: int
    ordered: bool

    @property
    def order(self) -> range:
        """The columns that ORDER BY names."""
        return range(self.width if self.ordered else 0)


@dataclass(frozen=True)
class Scope:
    """The columns in sight: text and kind, this query's own and those of the queries around it."""

    own: tuple[tuple[str, str], ...]
    outer: tuple[tuple[str, str], ...] = ()

    def of_kind(self, kind: str) -> list[str]:
        """Columns of one kind, the own first."""
        return [text for text, other in (*self.own, *self.outer) if other == kind]

    def local(self) -> Scope:
        """Without outer columns: an aggregate of only those would belong to the outer query."""
        return Scope(self.own)


@dataclass
class Writer:
    """Composes one query from hypothesis draws."""

    draw: Callable[..., Any]
    focus: str
    aliases: int = 0
    subquery_depth: int = 0
    tables: tuple[str, ...] = TABLES

    def choose(self, *options: Any) -> Any:
        """One of the options; the first is what shrinking tends to."""
        return self.draw(st.sampled_from(options))

    def chance(self, percent: int) -> bool:
        """True in about so many of a hundred cases."""
        return bool(self.draw(st.integers(0, 99)) >= 100 - percent)

    def alias(self) -> str:
        """A table alias not used before."""
        self.aliases += 1
        return f"q{self.aliases}"

    # expressions

    def leaf(self, kind: str, scope: Scope) -> str:
        """A column or a literal."""
        columns = scope.of_kind(kind)
        if columns and not self.chance(25):
            return str(self.choose(*columns))
        return literal(kind, self.choose(*VALUES[kind], None))

    def column(self, kind: str, scope: Scope) -> str:
        """A column, or a literal where there is no column of the kind."""
        columns = scope.of_kind(kind)
        return str(self.choose(*columns)) if columns else self.leaf(kind, scope)

    def expression(self, kind: str, scope: Scope, depth: int) -> str:
        """An expression of a kind."""
        if kind == "f":
            return self.predicate(scope, depth)
        if depth <= 0 or self.chance(35):
            return self.leaf(kind, scope)
        if self.focus == "subqueries" and self.subquery_depth < 2 and self.chance(20):
            return self.subquery_value(kind, scope, depth - 1)
        if self.chance(25):
            return self._common(kind, scope, depth - 1)
        return self._special(kind, scope, depth - 1)

    def _common(self, kind: str, scope: Scope, depth: int) -> str:
        left, right = (self.expression(kind, scope, depth) for _ in range(2))
        form = self.choose("coalesce", "case", "simple case", "nullif", "greatest", "least")
        if form == "case":
            return f"CASE WHEN {self.predicate(scope, depth)} THEN {left} ELSE {right} END"
        if form == "simple case":
            return f"CASE {left} WHEN {right} THEN {left} END"
        return f"{form}({left}, {right})"

    def _special(self, kind: str, scope: Scope, depth: int) -> str:
        def part(of: str) -> str:
            return self.expression(of, scope, depth)

        forms: dict[str, tuple[str, ...]] = {
            "i": ("({i} + {i})", "({i} - {i})", "({i} * 2)", "(- {i})", "({i} % 3)", "abs({i})"),
            "b": ("({b} + {i})", "({b} - {b})", "length({s})", "year({t})"),
            "d": ("({d} + {d})", "({d} * {i})", "({d} / 2)", "CAST({i} AS DOUBLE)", "abs({d})"),
            "m": ("({m} + {m})", "({m} - {m})", "({m} * 2)", "({m} * {m})", "(- {m})", "abs({m})"),
            "s": (
                "upper({s})",
                "({s} || {s})",
                "substring({s}, 1, 2)",
                "replace({s}, 'a', 'xy')",
                "CAST({i} AS VARCHAR)",
                "trim({s})",
            ),
            "t": ("({t} + 1)", "({t} - 30)", "({t} + {i})", "CAST(CAST({t} AS VARCHAR) AS DATE)"),
        }
        return self._fill(self.choose(*forms[kind]), part)

    def _fill(self, form: str, part: Callable[[str], str]) -> str:
        """Replace every {kind} by an expression of its own."""
        text = ""
        while "{" in form:
            before, _, rest = form.partition("{")
            kind, _, form = rest.partition("}")
            text += before + part(kind)
        return text + form

    # predicates

    def predicate(self, scope: Scope, depth: int) -> str:
        """A boolean expression."""
        if depth <= 0:
            return self.comparison(scope, 0)
        choice = self.draw(st.integers(0, 9))
        if choice < 2:
            return f"NOT ({self.predicate(scope, depth - 1)})"
        if choice < 5:
            word = self.choose("AND", "OR")
            left, right = (self.predicate(scope, depth - 1) for _ in range(2))
            return f"({left} {word} {right})"
        limit = 2 if self.focus == "subqueries" else 1
        wanted = 60 if self.focus == "subqueries" else 5
        if self.subquery_depth < limit and self.chance(wanted):
            return self.subquery_predicate(scope, depth - 1)
        return self.comparison(scope, depth - 1)

    def comparison(self, scope: Scope, depth: int) -> str:
        """A predicate without AND, OR and subqueries."""
        kind = self.choose(*KINDS[:-1])
        left = self.expression(kind, scope, depth)
        negated = self.choose("", "NOT ")
        match self.draw(st.integers(0, 6)):
            case 0:
                return f"({left} IS {negated}NULL)"
            case 1:
                low, high = self.leaf(kind, scope), self.leaf(kind, scope)
                return f"({left} {negated}BETWEEN {low} AND {high})"
            case 2:
                values = [self.leaf(kind, Scope(())) for _ in range(self.choose(1, 2, 3))]
                return f"({left} {negated}IN ({', '.join(values)}))"
            case 3:
                pattern = self.choose("a%", "%b", "%a%", "_", "%", "", "a_c%", "%c%c")
                return f"({self.expression('s', scope, depth)} {negated}LIKE '{pattern}')"
            case 4:
                return f"({left} IS {negated}DISTINCT FROM {self.leaf(kind, scope)})"
            case 5:
                return self.leaf("f", scope)
            case _:
                other = self.choose(*NUMBERS) if kind in NUMBERS else kind
                right = self.expression(other, scope, depth)
                return f"({left} {self.choose(*COMPARISONS)} {right})"

    def subquery_predicate(self, scope: Scope, depth: int) -> str:
        """EXISTS, IN, ANY, ALL, or a comparison with a scalar subquery."""
        kind = self.choose(*KINDS[:-1])
        outer = scope.own + scope.outer
        negated = self.choose("", "NOT ")
        form = self.choose("exists", "in", "scalar", "quantified", "count")
        if form == "exists":
            return f"{negated}EXISTS ({self.subquery([kind], outer, depth)})"
        left = self.leaf(kind, scope)
        if form == "in":
            return f"({left} {negated}IN ({self.subquery([kind], outer, depth)}))"
        comparison = self.choose(*COMPARISONS)
        if form == "quantified":
            word = self.choose("ANY", "ALL")
            return f"({left} {comparison} {word} ({self.subquery([kind], outer, depth)}))"
        if form == "count":
            left, kind = self.leaf("i", scope), "count"
        return f"({left} {comparison} ({self.scalar(kind, outer, depth)}))"

    def subquery_value(self, kind: str, scope: Scope, depth: int) -> str:
        """A subquery of at most one row as a value: an aggregate, or the first of ordered rows."""
        outer = scope.own + scope.outer
        if self.chance(60):
            return f"({self.scalar(kind, outer, depth)})"
        ordered = f"{self.subquery([kind], outer, depth)} ORDER BY 1 DESC NULLS LAST"
        return f"({ordered} LIMIT 1{self.choose('', ' OFFSET 1')})"

    def scalar(self, kind: str, outer: tuple[tuple[str, str], ...], depth: int) -> str:
        """A subquery of exactly one row: an aggregate without groups."""
        relation, columns = self.relation(0)
        scope = Scope(columns, outer)
        condition = self.correlated(scope, depth)
        call = "count(*)" if kind == "count" else self.aggregate(kind, scope.local())
        return f"SELECT {call} FROM {relation} WHERE {condition}"

    def subquery(self, kinds: Sequence[str], outer: tuple[tuple[str, str], ...], depth: int) -> str:
        """A subquery that may use the columns around it."""
        if self.chance(15):
            word = self.choose("UNION ALL", "UNION", "INTERSECT", "EXCEPT")
            sides = (self._subquery(kinds, outer, depth) for _ in range(2))
            return f" {word} ".join(sides)
        if self.chance(10):
            return self._derived(kinds, outer, depth)
        if self.chance(10):
            return self._read_twice(self._subquery(kinds, outer, depth), kinds)
        return self._subquery(kinds, outer, depth)

    def _read_twice(self, inside: str, kinds: Sequence[str]) -> str:
        """A table that the query shares with itself."""
        names = ", ".join(f"c{n}" for n in range(len(kinds)))
        one, two = self.alias(), self.alias()
        join, key = self.choose("SEMI JOIN", "ANTI JOIN", "LEFT JOIN"), f"c{len(kinds) - 1}"
        return (
            f"WITH w({names}) AS MATERIALIZED ({inside}) "
            f"SELECT {', '.join(f'{one}.c{n}' for n in range(len(kinds)))} "
            f"FROM w AS {one} {join} w AS {two} ON {one}.{key} = {two}.{key}"
        )

    def _derived(self, kinds: Sequence[str], outer: tuple[tuple[str, str], ...], depth: int) -> str:
        """A filter over a derived table that uses the columns around both."""
        inside = self._subquery(kinds, outer, depth)
        alias = self.alias()
        columns = tuple((f"{alias}.c{n}", kind) for n, kind in enumerate(kinds))
        names = ", ".join(f"c{n}" for n in range(len(kinds)))
        condition = self.comparison(Scope(columns, outer), 0)
        return f"SELECT {names} FROM ({inside}) AS {alias}({names}) WHERE {condition}"

    def _subquery(
        self, kinds: Sequence[str], outer: tuple[tuple[str, str], ...], depth: int
    ) -> str:
        relation, columns = self.relation(self.choose(0, 0, 1))
        scope = Scope(columns, outer)
        condition = self.correlated(scope, depth)
        outputs = ", ".join(self.leaf(kind, scope.local()) for kind in kinds)
        if self.chance(20):
            outputs = ", ".join(self.aggregate(kind, scope.local()) for kind in kinds)
            keys = ", ".join(name for name, kind in columns if kind in "is")
            groups = f" GROUP BY {keys}" if keys else ""
            return f"SELECT {outputs} FROM {relation} WHERE {condition}{groups}"
        return f"SELECT {self.choose('', 'DISTINCT ')}{outputs} FROM {relation} WHERE {condition}"

    def correlated(self, scope: Scope, depth: int) -> str:
        """A condition that in most cases compares an own column with an outer one."""
        self.subquery_depth += 1
        condition = self.predicate(scope if self.chance(50) else scope.local(), depth)
        self.subquery_depth -= 1
        if not scope.outer or self.chance(25):
            return condition
        kind = self.choose(*KINDS[:-1])
        inner = self.column(kind, scope.local())
        outer = self.column(kind, Scope(scope.outer))
        link = f"{inner} {self.choose('=', '=', '<', '<>')} {outer}"
        return link if self.chance(40) else f"{link} AND {condition}"

    # relations

    def relation(self, joins: int) -> tuple[str, tuple[tuple[str, str], ...]]:
        """FROM: a table, a derived table, or joins of them, with the columns in sight."""
        text, columns = self.source()
        for _ in range(joins):
            text, columns = self.join(text, columns)
        return text, columns

    def source(self) -> tuple[str, tuple[tuple[str, str], ...]]:
        """A table or, sometimes, a derived table."""
        alias = self.alias()
        if self.subquery_depth or not self.chance(15):
            names = (*KINDS, "id")
            columns = tuple((f"{alias}.{name}", name.replace("id", "i")) for name in names)
            return f"{self.choose(*self.tables)} AS {alias}", columns
        kinds = self.kinds()
        self.subquery_depth += 1
        inside = self.select(kinds, 1)
        self.subquery_depth -= 1
        if self.chance(25):
            inside = self._read_twice(inside, kinds)
        columns = tuple((f"{alias}.c{n}", kind) for n, kind in enumerate(kinds))
        return f"({inside}) AS {alias}", columns

    def join(
        self, left: str, columns: tuple[tuple[str, str], ...]
    ) -> tuple[str, tuple[tuple[str, str], ...]]:
        """One more source joined to what is there."""
        right, others = self.source()
        kind = self.choose("JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "SEMI JOIN", "ANTI JOIN")
        if self.chance(15):  # a comma binds what follows it less than CROSS JOIN
            return f"{left}{self.choose(' CROSS JOIN ', ', ')}{right}", columns + others
        condition = self.join_condition(columns, others)
        after = columns if kind in ("SEMI JOIN", "ANTI JOIN") else columns + others
        return f"{left} {kind} {right} ON {condition}", after

    def join_condition(
        self, left: tuple[tuple[str, str], ...], right: tuple[tuple[str, str], ...]
    ) -> str:
        """Mostly an equality of two columns, sometimes more, sometimes no equality at all."""
        kind = self.choose(*KINDS[:-1])
        first, second = self.column(kind, Scope(left)), self.column(kind, Scope(right))
        operator = self.choose("=", "=", "=", "=", "<", "<>", "IS NOT DISTINCT FROM")
        condition = f"{first} {operator} {second}"
        if self.chance(30):
            self.subquery_depth += 9  # no subqueries inside ON
            condition += f" AND {self.predicate(Scope(left + right), 1)}"
            self.subquery_depth -= 9
        return condition

    # queries

    def kinds(self) -> list[str]:
        """The kinds of the output columns."""
        return list(self.draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=4)))

    def select(self, kinds: Sequence[str], depth: int) -> str:
        """A SELECT whose columns c0, c1 … have these kinds."""
        grouped = self.chance({"aggregates": 100, "expressions": 0}.get(self.focus, 20))
        joins = self.choose(1, 2, 3) if self.focus == "joins" else self.choose(0, 0, 1)
        relation, columns = self.relation(0 if self.subquery_depth else joins)
        scope = Scope(columns)
        where = f" WHERE {self.predicate(scope, depth)}" if self.chance(70) else ""
        body = f" FROM {relation}{where}"
        if grouped:
            return self.grouped(kinds, scope, body)
        items = [f"{self.expression(k, scope, depth)} AS c{n}" for n, k in enumerate(kinds)]
        return f"SELECT {self.choose('', '', 'DISTINCT ')}{', '.join(items)}{body}"

    def grouped(self, kinds: Sequence[str], scope: Scope, body: str) -> str:
        """A SELECT with keys and aggregates, HAVING among them."""
        items, positions = [], []
        self.subquery_depth += 9  # no subqueries among keys and aggregates
        for number, kind in enumerate(kinds):
            if self.chance(45):
                items.append(f"{self.expression(kind, scope, 1)} AS c{number}")
                positions.append(str(number + 1))
            else:
                items.append(f"{self.aggregate(kind, scope)} AS c{number}")
        having = ""
        if positions and self.chance(30):
            kind = self.choose(*KINDS[:-1])
            call = self.aggregate(kind, scope)
            having = f" HAVING {call} {self.choose(*COMPARISONS)} {self.leaf(kind, Scope(()))}"
        self.subquery_depth -= 9
        group = f" GROUP BY {', '.join(positions)}" if positions else ""
        return f"SELECT {', '.join(items)}{body}{group}{having}"

    def aggregate(self, kind: str, scope: Scope) -> str:
        """An aggregate call of a kind, sometimes DISTINCT or with FILTER."""
        forms = {
            "i": ("count(*)", "count({any})", "count(DISTINCT {any})", "sum({i})", "min({i})"),
            "b": ("sum({b})", "sum(DISTINCT {i})", "max({b})", "count({any})"),
            "d": ("sum({d})", "min({d})", "max({d})", "sum(DISTINCT {d})"),
            "m": ("sum({m})", "min({m})", "max({m})", "sum(DISTINCT {m})"),
            "s": ("min({s})", "max({s})"),
            "t": ("min({t})", "max({t})"),
            "f": ("bool_and({f})", "bool_or({f})"),
        }

        def part(of: str) -> str:
            return self.expression(self.choose(*KINDS) if of == "any" else of, scope, 1)

        call = self._fill(self.choose(*forms[kind]), part)
        if self.chance(20):
            call += f" FILTER (WHERE {self.comparison(scope, 0)})"
        return call

    def shared_table(self) -> str:
        """WITH a table that the rest of the query may read, once or several times."""
        relation, columns = self.relation(0)
        condition = self.predicate(Scope(columns), 1)
        items = ", ".join(f"{name} AS {name.split('.')[-1]}" for name, _ in columns)
        if len(columns) <= len(KINDS):  # a derived table: its columns are others
            return ""
        self.tables = ("shared", *TABLES)
        return f"WITH shared AS (SELECT {items} FROM {relation} WHERE {condition}) "

    def query(self) -> Query:
        """A whole query with set operations, ORDER BY and LIMIT."""
        kinds = self.kinds()
        shared = self.shared_table() if self.chance(15) else ""
        text = shared + self.select(kinds, 2)
        for _ in range(self.choose(1, 2) if self.focus == "set_operations" else 0):
            word = self.choose("UNION ALL", "UNION", "INTERSECT", "EXCEPT", "EXCEPT ALL")
            text += f" {word} {self.select(kinds, 1)}"
        if not self.chance(40):
            return Query(text, len(kinds), ordered=False)
        keys = [
            f"{n + 1}{self.choose('', ' DESC')}{self.choose('', ' NULLS FIRST', ' NULLS LAST')}"
            for n in range(len(kinds))
        ]
        text += f" ORDER BY {', '.join(keys)}"
        if self.chance(50):
            text += f" LIMIT {self.choose(0, 1, 3, 50)}{self.choose('', ' OFFSET 1', ' OFFSET 30')}"
        return Query(text, len(kinds), ordered=True)


@st.composite
def queries(draw: Callable[..., Any], focus: str) -> Query:
    """A query over the three tables, with one part of SQL more likely than the others."""
    return Writer(draw, focus).query()
