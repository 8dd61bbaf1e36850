"""Computes the verdicts of a step with changed settings, from the signals that a run stored.

A verdict is a decision about a document. There are four verdicts: same as in the run, kept, dropped with a reason, and
unknown. Unknown verdicts are reported and never guessed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from filters.c4.bad_words import BadWords
from filters.c4.english import C4English
from filters.c4.lines_and_pages import C4Lines, C4SentencesAfterDedup
from filters.ccnet.perplexity import Perplexity
from filters.code.steps import AllowedLicence, CodeFiles, is_permissive
from filters.language.detect import Language
from filters.wikitext.article import WikiLanguages
from pipeline.report.documents import Floats
from pipeline.report.limits import Limit, limits_of
from pipeline.sources.dedup_steps import DedupStep
from pipeline.sources.source import AnyStep

AS_IT_WAS, KEPT, UNKNOWN = "", "kept", "unknown"
Verdicts = npt.NDArray[np.object_]
"""One verdict per document: :data:`AS_IT_WAS`, :data:`KEPT`, :data:`UNKNOWN`, or a reason to drop it."""

_BROKEN = {
    "<": np.less,
    ">": np.greater,
    "<=": np.less_equal,
    ">=": np.greater_equal,
    "==": np.equal,
}


@dataclass(frozen=True, slots=True)
class Documents:
    """Holds some documents of one source, with the signals that the run stored."""

    stages: npt.NDArray[np.object_]
    """The stage that dropped each document; empty for documents that were kept."""
    reasons: npt.NDArray[np.object_]
    languages: npt.NDArray[np.object_]
    signals: Mapping[str, Floats]
    ids: npt.NDArray[np.object_]
    details: npt.NDArray[np.object_]
    """The number or word that decided, as ``dropped/`` has it; empty for documents that were kept."""
    licences: npt.NDArray[np.object_] | None = None
    """The licences of kept documents; None if the source has none, or for dropped documents."""

    def __len__(self) -> int:
        return len(self.stages)

    def signal(self, name: str) -> Floats:
        found = self.signals.get(name)
        return np.full(len(self), np.nan) if found is None else found


@dataclass(frozen=True, slots=True)
class Change:
    """Describes a change of one step: of its settings, or of the cut-offs of the step ``perplexity`` (the values at
    which its buckets end). In the second case the settings ``before`` and ``after`` may be equal.
    """

    before: AnyStep
    after: AnyStep | None
    """The changed step; None if the step is removed."""
    cutoffs_before: Mapping[str, Sequence[float]]
    cutoffs_after: Mapping[str, Sequence[float]]

    @property
    def stage(self) -> str:
        return self.before.NAME


def why_unknown(change: Change) -> str:
    """Returns a text that says why the stored signals do not show the effect of a change. Returns an empty text if they
    show it.
    """
    before, after = change.before, change.after
    if after is None:
        edits = before.edits_text if isinstance(before, DedupStep) else isinstance(before, C4Lines)
        return f"{change.stage} edits lines too" if edits else ""
    changed = {f for f in getattr(before, "__dataclass_fields__", {}) if getattr(before, f) != getattr(after, f)}
    known = _KNOWN_FIELDS.get(type(before).__name__)
    if isinstance(before, DedupStep):
        known = before.COUNTED_SETTINGS or None
    if known is None:
        if isinstance(before, DedupStep) or not hasattr(before, "rules"):
            return f"{change.stage} judges by no number that is kept"
        reason = f"{change.stage}: {', '.join(sorted(changed))} moves no limit on a signal"
        return "" if _rules_differ(change) else reason
    lost = sorted(changed - known)
    return f"{change.stage}: what {', '.join(lost)} would change was not counted" if lost else ""


_KNOWN_FIELDS: Mapping[str, frozenset[str]] = {
    C4Lines.__name__: frozenset({"min_sentences"}),
    C4SentencesAfterDedup.__name__: frozenset({"min_sentences"}),
    C4English.__name__: frozenset({"min_score"}),
    Language.__name__: frozenset({"min_score", "min_scores", "languages"}),
    Perplexity.__name__: frozenset({"keep"}),
    "C4TooLong": frozenset({"max_chars"}),
    WikiLanguages.__name__: frozenset({"wikis"}),
    AllowedLicence.__name__: frozenset({"families"}),
    CodeFiles.__name__: frozenset({"kept_languages"}),
    BadWords.__name__: frozenset(),
}
"""Maps the class name of a step to the settings of the step whose effect the output shows: limits on signals, and lists
of values that documents have in a column. A step has no entry if all its limits are in a table of rules."""


def _rules_differ(change: Change) -> bool:
    assert change.after is not None
    return limits_of(change.before, change.cutoffs_before) != limits_of(change.after, change.cutoffs_after)


def judge(change: Change, documents: Documents) -> Verdicts:
    """Returns the changed step's verdict on each document: kept, dropped with a reason, unknown, or as in the run. The
    caller ignores documents that never reached the step.
    """
    step = change.after
    if why_unknown(change):
        return np.full(len(documents), UNKNOWN, dtype=object)
    if step is None:
        return np.full(len(documents), KEPT, dtype=object)
    if isinstance(step, Perplexity):
        return _by_bucket(change, step, documents)
    if isinstance(step, DedupStep):
        return _by_dedup(change, step, documents)
    if isinstance(step, WikiLanguages):
        return _by_wiki(step, documents)
    if isinstance(step, AllowedLicence):
        return _by_licence(change, step, documents)
    if isinstance(step, CodeFiles):
        return _by_programming_language(change, step, documents)
    verdicts = _by_limits(change, documents)
    if isinstance(step, Language):
        return _by_language(change, step, documents, verdicts)
    return verdicts


def _dropped_here(change: Change, documents: Documents) -> npt.NDArray[np.bool_]:
    return np.asarray(documents.stages == change.stage, dtype=bool)


def _by_limits(change: Change, documents: Documents) -> Verdicts:
    """Returns one verdict per document. If the document breaks a limit, the verdict is the reason of the first such
    limit. Otherwise the document is kept, or it is unknown whether it breaks a limit.

    If the step dropped a document in the run for a reason that has no limit, the document stays dropped.
    """
    assert change.after is not None
    limits = limits_of(change.after, change.cutoffs_after)
    was = limits_of(change.before, change.cutoffs_before)
    verdicts: Verdicts = np.full(len(documents), KEPT, dtype=object)
    dropped = _dropped_here(change, documents)
    by_limit = np.isin(documents.reasons, [limit.reason for limit in (*was, *limits)])
    by_limit |= isinstance(change.after, Language)  # this step checks the score first
    verdicts[dropped & ~by_limit] = AS_IT_WAS
    for limit in limits:
        broken, unknown = _broken(limit, was, documents, dropped)
        undecided = verdicts == KEPT
        verdicts[undecided & broken] = limit.reason
        verdicts[undecided & ~broken & unknown] = UNKNOWN
    return verdicts


def _broken(
    limit: Limit, was: Sequence[Limit], documents: Documents, dropped: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Returns two masks of documents. In the first, True means that the document breaks ``limit``. In the second, True
    means that the signal does not show whether the document breaks it.

    If a document has no signal and the step did not drop it, the step did not check the document. The documents of the
    published C4 are an example. With the new settings, the step is assumed not to check such a document either.
    """
    values = documents.signal(limit.signal)
    missing = np.isnan(values)
    with np.errstate(invalid="ignore"):
        broken = _BROKEN[limit.op](values, limit.value) & ~missing
    if limit.language is not None:
        broken &= documents.languages == limit.language
    broken &= ~np.isin(documents.languages, limit.not_of)
    unknown = missing & dropped
    stopped = next((one.counts_up_to for one in was if one.signal == limit.signal and one.reason == limit.reason), None)
    if stopped is not None and limit.op == "<" and limit.value > stopped:
        at_the_stop = values >= stopped
        unknown |= at_the_stop
        broken &= ~at_the_stop
    return broken, unknown


def _by_language(change: Change, step: Language, documents: Documents, verdicts: Verdicts) -> Verdicts:
    """Completes ``verdicts`` with the verdicts that depend on a document's language, and returns them. The verdicts
    that depend on the language score are already there, because the step checks the score first.
    """
    known = documents.languages != ""
    is_other = ~np.isin(documents.languages, list(step.languages)) if step.languages else np.zeros(len(documents), bool)
    passes = verdicts == KEPT
    verdicts[passes & known & is_other] = "other_language"
    dropped = _dropped_here(change, documents)
    verdicts[passes & ~known & dropped] = UNKNOWN
    return verdicts


def _by_bucket(change: Change, step: Perplexity, documents: Documents) -> Verdicts:
    """Judges each document by its perplexity bucket (head, middle or tail). The new cut-offs decide in which bucket a
    document's perplexity is.
    """
    values = documents.signal("perplexity")
    verdicts: Verdicts = np.full(len(documents), KEPT, dtype=object)
    missing = np.isnan(values)
    if "all" not in step.keep:
        verdicts[missing] = "no_perplexity"
    verdicts[~missing] = UNKNOWN
    for language, (head, tail) in change.cutoffs_after.items():
        is_its = ~missing & (documents.languages == language)
        for bucket, inside in (
            ("head", values < head),
            ("middle", (values >= head) & (values < tail)),
            ("tail", values >= tail),
        ):
            verdicts[is_its & inside] = KEPT if bucket in step.keep else f"{bucket}_perplexity"
    return verdicts


def _by_wiki(step: WikiLanguages, documents: Documents) -> Verdicts:
    """Judges pages by their wiki. The id of a page begins with the code of its wiki, such as ``en:12``."""
    wikis = [str(one).partition(":")[0] for one in documents.ids.tolist()]
    return np.where(np.isin(wikis, list(step.wikis)), KEPT, "other_language").astype(object)


def _by_licence(change: Change, step: AllowedLicence, documents: Documents) -> Verdicts:
    """Judges files by their licence. ``clean/`` has it as a column, and ``dropped/`` as the detail of files that this
    step dropped. Files that a later step dropped stay dropped.
    """
    verdicts: Verdicts = np.full(len(documents), AS_IT_WAS, dtype=object)
    if documents.licences is not None:
        allowed = np.array([is_permissive(one, step.families) for one in documents.licences.tolist()], dtype=bool)
        verdicts[:] = np.where(allowed, KEPT, "licence_not_permitted")
        return verdicts
    here = _dropped_here(change, documents) & (documents.details != "")
    allowed = np.array([is_permissive(one, step.families) for one in documents.details.tolist()], dtype=bool)
    verdicts[here & allowed] = KEPT
    return verdicts


def _by_programming_language(change: Change, step: CodeFiles, documents: Documents) -> Verdicts:
    """Judges kept files by their programming language. A file that was dropped for its language, and that may now come
    back, was not judged by the step's other rules, so its verdict is unknown.
    """
    verdicts: Verdicts = np.full(len(documents), AS_IT_WAS, dtype=object)
    kept = step.kept_languages
    if kept is not None:
        verdicts[(documents.stages == "") & ~np.isin(documents.languages, list(kept))] = "unknown_file_type"
    may_return = np.array(
        [bool(one) and (kept is None or one in kept) for one in documents.details.tolist()], dtype=bool
    )
    verdicts[_dropped_here(change, documents) & (documents.reasons == "unknown_file_type") & may_return] = UNKNOWN
    return verdicts


def _by_dedup(change: Change, step: DedupStep, documents: Documents) -> Verdicts:
    """Judges documents by the new limits of a dedup.

    Two documents that the run kept may overlap by more than a new limit. The dedup would then drop one of them. The run
    did not store which one, so the verdict on both is unknown.
    """
    assert isinstance(change.before, DedupStep)
    dropped = _dropped_here(change, documents)
    verdicts: Verdicts = np.full(len(documents), KEPT, dtype=object)
    least = step.may_fall_above(change.before)
    for rule in step.rules:
        values = documents.signal(rule.signal)
        with np.errstate(invalid="ignore"):
            verdicts[dropped & _BROKEN[rule.op](values, rule.limit)] = rule.reason
            verdicts[dropped & np.isnan(values)] = UNKNOWN
            if least is not None:
                verdicts[~dropped & ((values > least) | (least == -np.inf))] = UNKNOWN
    return verdicts
