"""Why a service ended a text: the words of the large ones for it, in 2026, and what they mean."""

import re
from enum import StrEnum
from typing import Any


class Ending(StrEnum):
    """Why a service ended a text, whatever it calls that."""

    UNSAID = ""  # a local model, a service that never says
    COMPLETE = "complete"
    LENGTH = "length"
    FILTERED = "filtered"
    TOOL = "tool"
    ERROR = "error"  # on the service's side: asking again may help
    UNKNOWN = "unknown"


UNSAID: Any = object()  # a service that has no such field
_REASONS = {
    Ending.COMPLETE: "stop eos eos_token eos_found endoftext end_turn end_of_turn end_of_sequence "
    "end_of_text end_token stop_sequence stop_string stop_string_found stop_criteria "
    "stop_criteria_met stop_token stop_word complete completed finish finished done normal eot",
    Ending.LENGTH: "length max_tokens max_length max_new_tokens max_output_tokens max_len limit "
    "max_completion_tokens max_context model_length token_limit token_limit_reached tokens_limit "
    "length_limit model_context_window_exceeded context_window_exceeded context_length "
    "context_length_exceeded context_length_reached max_predicted_tokens_reached error_limit",
    Ending.FILTERED: "content_filter content_filtered content_filtering content_moderation "
    "content_policy_violation sensitive safety safety_filter recitation blocklist blocked "
    "prohibited_content spii guardrail_intervened guardrail guardrails model_armor refusal "
    "error_toxic moderation flagged image_safety policy_violation risk_control",
    Ending.TOOL: "tool_calls tool_call tool_use function_call function tool malformed_tool_use "
    "malformed_function_call unexpected_tool_call too_many_tool_calls malformed_tool_call",
    Ending.ERROR: "error abort aborted cancel canceled cancelled user_cancel user_stopped failed "
    "failure network_error server_error internal_error engine_error engine_overloaded overloaded "
    "insufficient_system_resource resource_exhausted rate_limit_exceeded timeout time_limit "
    "timed_out load unload model_unloaded interrupted not_finished malformed_model_output",
}
_ENDINGS = {reason: ending for ending, line in _REASONS.items() for reason in line.split()}


def meaning(reason: Any) -> Ending:
    """Say what a reason to end means, in any case and with any prefix.

    A field that is there and null is an end that did not come: unknown.
    """
    if reason is UNSAID or reason == "":
        return Ending.UNSAID
    if isinstance(reason, dict):
        reason = reason.get("type")
    if not isinstance(reason, str):
        return Ending.UNKNOWN
    word = reason.split(":")[0].rpartition(".")[2].strip()
    if not word.isupper():  # eosFound
        word = re.sub("(?<=[a-z])(?=[A-Z])", "_", word)
    word = re.sub("[- ]", "_", word).lower()
    word = word.removeprefix("finish_reason_").removeprefix("reason_")
    return _ENDINGS.get(word, Ending.UNKNOWN)
