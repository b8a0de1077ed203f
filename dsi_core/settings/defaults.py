"""What is taken where no profile says it: an audit of a kit tunes nothing and needs none."""

from typing import Final

from dsi_core.settings.schema import Responses

# One greedy answer finds sooner than several sampled ones, at a share of the price (notebook 10)
RESPONSES: Final = Responses(
    temperature=0.0, draws=1, max_new_tokens=64, batch_size=16, ask="tainted"
)
MU: Final = 20  # bytes, §5.3
SEED: Final = 0
# For a local suspect whose tokenizer has no chat template
CHAT_TEMPLATE: Final = (
    "{{ bos_token }}{% for m in messages %}{{ m['content'] + '\n\n' }}{% endfor %}"
)
