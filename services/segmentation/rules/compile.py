"""From a checked definition to functions, once per definition version."""

from collections.abc import Sequence

from msgspec import Struct

from schemas.messages import Reason
from services.segmentation.model import (
    All,
    Any_,
    BehaviourCondition,
    FactCondition,
    Node,
    Not,
    Person,
    Segment,
    TraitCondition,
)
from services.segmentation.rules.computed import traits_of
from services.segmentation.rules.leaves import Compiled, fact_leaf, trait_leaf
from services.segmentation.rules.moment import Moment
from services.segmentation.rules.windows import behaviour_leaf


class CompiledSegment(Struct, frozen=True, kw_only=True):
    """One segment, ready to be asked."""

    key: str
    version: int
    rule: Compiled
    needs: frozenset[str] = frozenset()
    """The computed traits that the rule asks about."""


class Verdict(Struct, frozen=True):
    """Whether a person is a member, and for how long that stands.

    ``member`` None: a computed trait is not there yet, so the present membership stays.
    ``next_flip``: before that instant time alone changes nothing (it may change nothing
    then, either); None: it never does.
    """

    member: bool | None
    next_flip: int | None


def compile_segment(key: str, version: int, segment: Segment) -> CompiledSegment:
    """The definition ``version`` of the segment ``key``."""
    needs = frozenset(traits_of(segment.rule))
    return CompiledSegment(key=key, version=version, rule=_node(segment.rule), needs=needs)


def undecidable(key: str, version: int) -> CompiledSegment:
    """A segment whose definition cannot be read here: memberships stay as they are."""
    rule = Compiled(holds=lambda moment: None, explain=lambda moment: [], reads=frozenset())
    return CompiledSegment(key=key, version=version, rule=rule)


def evaluate(segment: CompiledSegment, moment: Moment) -> Verdict:
    """Membership of ``moment.person`` at ``moment.now``."""
    rule = segment.rule
    flip = rule.flip
    return Verdict(rule.holds(moment), None if flip is None else flip(moment))


def reasons(segment: CompiledSegment, person: Person, now: int) -> list[Reason]:
    """Each condition in the order of the tree, with what it found at ``now``."""
    return segment.rule.explain(Moment(person, now))


def _node(node: Node) -> Compiled:
    match node:
        case All(parts):
            return _group([_node(part) for part in parts], neutral=True)
        case Any_(parts):
            return _group([_node(part) for part in parts], neutral=False)
        case Not(part):
            return _negation(_node(part))
        case TraitCondition():
            return trait_leaf(node)
        case FactCondition():
            return fact_leaf(node)
        case BehaviourCondition():
            return behaviour_leaf(node)


def _negation(part: Compiled) -> Compiled:
    def holds(moment: Moment) -> bool | None:
        answer = part.holds(moment)
        return None if answer is None else not answer

    return Compiled(holds=holds, flip=part.flip, explain=part.explain, reads=part.reads)


def _group(parts: Sequence[Compiled], *, neutral: bool) -> Compiled:
    """``all`` (neutral True) and ``any`` (neutral False), by Kleene's three-valued logic.

    One part that answers ``not neutral`` decides, whatever cannot be told yet.
    """
    if len(parts) == 1:
        return parts[0]
    asked = tuple(part.holds for part in parts)
    timed = any(part.flip is not None for part in parts)

    def holds(moment: Moment) -> bool | None:
        answer: bool | None = neutral
        for ask in asked:
            one = ask(moment)
            if one is not neutral:
                if one is not None:
                    return one
                answer = None
        return answer

    def flip(moment: Moment) -> int | None:
        deciding = [part for part in parts if part.holds(moment) is (not neutral)]
        if not deciding:
            flips = [part.flip(moment) for part in parts if part.flip is not None]
            return min((at for at in flips if at is not None), default=None)
        # As long as one of the deciding parts stays, so does the whole: the last counts.
        latest = 0
        for part in deciding:
            at = None if part.flip is None else part.flip(moment)
            if at is None:
                return None
            latest = max(latest, at)
        return latest

    def explain(moment: Moment) -> list[Reason]:
        return [reason for part in parts for reason in part.explain(moment)]

    return Compiled(
        holds=holds,
        flip=flip if timed else None,
        explain=explain,
        reads=frozenset().union(*(part.reads for part in parts)),
    )
