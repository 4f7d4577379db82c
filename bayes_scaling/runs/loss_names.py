"""What the name of a column of losses says: a unit, a score, an error, or nothing. The standard library alone."""

from __future__ import annotations

import re

UNITS = {
    "nats": "nats per token",
    "bits": "bits per token",
    "ppl": "perplexity",
    "bpb": "bits per byte",
    "bpc": "bits per character",
    "bpw": "bits per word",
    "error": "error",
}
"""Units that `--loss-unit` takes, and what they are called in sentences."""


_WORDS = {
    "ppl": r"ppls?|perplexity|perplexities",
    "bpb": r"bpb|bits?_per_byte|bits?_byte",
    "bpc": r"bpc|bits?_per_char(?:acter)?",
    "bpw": r"bpw|bits?_per_word",
    "bits": r"bits?|bits?_per_token",
    "score": r"acc|accuracy|acc_norm|top_?[15]|f1|bleu|rouge\w*|auc|auroc|m?iou|recall|precision|scores?|exact_match|"
    r"em|pass_?\d*|elo|win_?rate|rewards?|psnr|ssim|r2|map|ndcg|mmlu|correlation",
    "error": r"errors?|err|error_rate|wer|cer",
}
_KINDS = {kind: re.compile(rf"(?:^|_)(?:{words})(?:_|$)") for kind, words in _WORDS.items()}
_ERROR = re.compile(r"(?:^|_)(?:errors?|err|wer|cer)(?:_|$)")
_LOSS = re.compile(r"(?:^|_)(?:loss|nll|xent|cross_?entropy|ce|nats)(?:_|$)|loss$")


def kind_of(name: str) -> str | None:
    """What a column's name says of its numbers: a unit, "score", "error", or None for a loss in nats or no word."""
    return _kind(name) or _kind(re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name))


def _kind(name: str) -> str | None:
    text = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    if re.search(r"(?:^|_)(?:log|ln)_?(?:ppl|perplexity)", text):
        return None
    for kind in ("bpb", "bpc", "bpw", "ppl"):
        if _KINDS[kind].search(text):
            return kind
    if _ERROR.search(text):
        return "error"
    if _KINDS["bits"].search(text):
        return "bits"
    return None if _LOSS.search(text) else "score" if _KINDS["score"].search(text) else None


def options_for(column: str, kind: str | None) -> str:
    """The options that read `column`, quoted for a shell, as a loss."""
    mapped = f"--map loss={column}"
    more = {"bpb": " --tokens-per-byte R", "bpc": " --tokens-per-byte R", "bpw": " --tokens-per-word R"}
    return f"{mapped} --loss-unit {kind}{more.get(kind, '')}" if kind in UNITS else mapped
