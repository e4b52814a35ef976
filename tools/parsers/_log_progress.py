"""Lines by which a healthy job says that it goes on: steps, epochs, progress bars, checkpoints, benchmark tables.

Known: Megatron-LM, DeepSpeed, Hugging Face Trainer, PyTorch Lightning, NeMo, nanoGPT, torchtitan, torchtune, fairseq,
timm, Keras, MaxText, Composer, tqdm, nccl-tests; uvicorn and vLLM request lines.
"""

from __future__ import annotations

from tools.parsers._any_of import AnyOf
from tools.parsers._log_alarm import is_alarm

_NUMBER = r"[-+]?(?:\d[\d,]*(?:\.\d+)?(?:[eE][-+]?\d+)?|nan|inf)"
_METRIC = (
    r"(?:\w*[_/ -]?)?(?:loss|ppl|perplexity|acc(?:uracy)?|acc@\d|mfu|lr|learning[_ ]rate|grad[_ ]?norm|tflops?"
    r"|throughput|tokens?(?:[_/ ]\w+)?|samples?(?:[_/ ]\w+)?|time|elapsed|eta|reward|bleu|f1|mem(?:ory)?)"
)
_STEP = r"(?:global[_ ]?)?(?:step|iter(?:ation)?|epoch|batch|update|micro_step|train_step)s?"
_EXPRESSIONS = (
    # 'step 4400 | loss 1.77', 'iter 100: loss 3.2', 'Epoch: [3][100/5005] Loss 2.1', 'completed step: 10, loss: 3'
    rf"(?i:\b{_STEP}[\s:=#\[(]*{_NUMBER}.{{0,300}}?\b{_METRIC}[\s:=({{\[]*{_NUMBER})",
    # 'loss=1.2 at step 400', '{"loss": 1.2, … "step": 400}'
    rf"(?i:\b{_METRIC}[\"']?[\s:=(]*{_NUMBER}.{{0,300}}?\b{_STEP}[\"']?[\s:=#(]*{_NUMBER})",
    # Hugging Face: {'loss': 1.2, 'learning_rate': 1e-5, 'epoch': 0.1}
    rf"^\s*\{{ ?[\"'](?:\w+_)?(?:loss|runtime|epoch|step|learning_rate|accuracy)[\"']: ?[\"']?{_NUMBER}",
    # 'step=100, skipped=0, lr=[…]' is caught by the first; a bar of tqdm, Keras or Lightning:
    r"\d{1,3}%\|.{0,200}\| ?[\d.,]+[kKMG]?/(?:[\d.,]+[kKMG]?|\?) \[",
    r"^\s*\d+/\d+ \[[=>.━ ]{3,}\]?|\[\d\d?:\d\d(?::\d\d)?<[\d:?]+, ",
    r"\d[\d.]* ?(?:it|s|samples?|tok(?:en)?s?|steps?|examples?|img|images?|iter)/(?:it|s|sec|second|step|iter)\b",
    # beginnings and ends
    rf"(?i:^\W*{_STEP}\W*\d+(?: ?(?:/|of) ?\d+)?\W*(?:finished|done|complete[d]?|started|begins?|ended|in \d.*)?\W*$)",
    rf"(?i:^\W*{_STEP}\W*\d+(?: ?(?:/|of) ?\d+)?\W+(?:finished|done|complete[d]?|start(?:ed|ing)?|ended)\b)",
    r"(?i:^\W*(?:end of )?(?:training|validation|evaluation|finetuning|fine-tuning|pretraining|pre-training|run|job)"
    r"(?: (?:run|loop|step|phase|has|is|was|of \w+))* (?:finished|complete[d]?|done|start(?:ed|ing|s)?|resum\w+"
    r"|end(?:ed|s)))",
    r"(?i:^\W*(?:start(?:ed|ing)?|resum(?:ed|ing)|begin(?:ning)?|finish(?:ed|ing)) (?:\w+ )?(?:training|run|epoch"
    r"|evaluation"
    r"|validation|job)\b)",
    # Megatron-LM around its loop
    r"^\s*(?:training|validating|evaluating) ?\.\.\.\s*$|^\[(?:before|after) [\w ]+\] datetime: |^\s*time \(ms\) \|",
    # checkpoints
    r"(?i:\b(?:sav(?:ed|ing)|wrote|writing|load(?:ed|ing)|restor(?:ed|ing)|successfully saved|successfully loaded)\b"
    r".{0,80}?(?:checkpoint|ckpt|model|weights|optimizer|shards?|state|\.pt\b|\.safetensors|\.bin\b|\.ckpt|/[\w.-]+/))",
    r"(?i:\bcheckpoint\S* (?:\S+ ){0,3}?(?:saved|written|loaded|restored|complete[d]?)\b)",
    # evaluation and counts
    rf"(?i:^\W*(?:val(?:id(?:ation)?)?|eval(?:uation)?|test|train(?:ing)?|best)[\s_/]*(?:{_METRIC})[\s:=]*{_NUMBER})",
    rf"^ \* Acc@1 {_NUMBER}",
    r"(?i:^\W*(?:number of |total |trainable )*(?:parameters|params|examples|epochs|optimization steps|train batch size"
    r"|gradient accumulation steps)\b.{0,40}[:=] ?[\d.,]+)",
    r"^\s*(?:Train|Eval|Metrics?|Trainer) \w+/[\w/]+: ",
    # nccl-tests
    r"^# (?:nThread|Using devices|\s*Rank +\d+|out-of-place|\s*size +count|Out of bounds values +: 0 OK|Avg bus "
    r"bandwidth"
    r"|Collective test (?:starting|concluded)|nccl-tests version)|^#\s+(?:\(B\)|size|Rank|out-of-place)",
    r"^\s*\d+ +\d+ +(?:float|half|bfloat16|double|u?int\d+|fp8\w*) +(?:sum|prod|max|min|avg|none) +-?\d+ +[\d.]+ "
    r"+[\d.]+",
    # servers that answer
    r"^INFO: +(?:[\d.:]+ - \"(?:GET|POST|PUT|HEAD|OPTIONS|DELETE) \S+ HTTP/\S+\" [23]\d\d|Started server process"
    r"|Waiting for application|Application (?:startup|shutdown) complete|Uvicorn running|Shutting down|Finished "
    r"server)",
)
_MAX_CHARACTERS = 1000


_PROGRESS = AnyOf(_EXPRESSIONS)


def is_progress(text: str) -> bool:
    """Say whether a line tells that a job or server goes on: a step, a bar, a checkpoint, an answered request."""
    head = text[:_MAX_CHARACTERS]
    return _PROGRESS.search(head) and not is_alarm(head)
