"""What is taken where no profile says it: an audit of a kit tunes nothing and needs none."""

from typing import Final

from dsi_core.settings.schema import Responses

RESPONSES: Final = Responses(
    temperature=1.0, draws=3, max_new_tokens=64, batch_size=16, ask="tainted"
)
MU: Final = 20  # bytes, §5.3
SEED: Final = 0
# For a local suspect whose tokenizer has no chat template
CHAT_TEMPLATE: Final = (
    "{{ bos_token }}{% for m in messages %}{{ m['content'] + '\n\n' }}{% endfor %}"
)
