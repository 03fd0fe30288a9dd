"""TRL's trainers on examples that are tokens already, so that what is trained is what the engine serves.

TRL renders conversations by itself, with small differences: it knows nothing of control tokens in what users wrote, and
its prompts may end elsewhere. KTO and DPO have no public way around that, so two trainers replace `_prepare_dataset`;
SFT takes tokens. Tested with the versions in `constraints.txt`.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import peft
from datasets import Dataset
from transformers import EarlyStoppingCallback
from transformers.trainer_callback import PrinterCallback
from trl import DPOConfig, DPOTrainer, KTOConfig, KTOTrainer, SFTConfig, SFTTrainer

from telic.learners.tuning.config import TuningConfig
from telic.learners.tuning.examples import Example, Examples

__all__ = ["make_trainer", "quiet_training", "steps_per_epoch"]

WARM_UP = 0.1
"""Share of the steps in which the learning rate rises."""
EVALUATIONS = 2
"""Evaluations, and checkpoints, in an epoch."""
MOST_WEIGHT = 4.0
"""KTO: largest weight of the rarer kind of reply."""


class _KTOTrainer(KTOTrainer):  # type: ignore[misc]
    """TRL's trainer on tokens."""

    def _prepare_dataset(self, dataset: Any, *_: Any, **__: Any) -> Any:
        return dataset


class _DPOTrainer(DPOTrainer):  # type: ignore[misc]
    """TRL's trainer on tokens."""

    def _prepare_dataset(self, dataset: Any, *_: Any, **__: Any) -> Any:
        return dataset


def make_trainer(
    model: Any, tokenizer: Any, examples: Examples, config: TuningConfig, folder: Path, callbacks: Sequence[Any] = ()
) -> Any:
    """Make the trainer of a method.

    Args:
        model: a causal model of `transformers`; an adapter is put around it.
        tokenizer: its tokenizer.
        examples: what to train and to evaluate on.
        config: the settings.
        folder: for checkpoints.
        callbacks: of `transformers.Trainer`.
    """
    every = max(1, steps_per_epoch(examples.train, config) // EVALUATIONS)
    steps = config.epochs * steps_per_epoch(examples.train, config)
    options: dict[str, Any] = {
        "output_dir": str(folder),
        "per_device_train_batch_size": config.batch,
        "per_device_eval_batch_size": config.batch,
        "num_train_epochs": config.epochs,
        "learning_rate": config.learning_rate,
        "warmup_steps": round(WARM_UP * steps),
        "eval_strategy": "steps",
        "save_strategy": "steps",
        "eval_steps": every,
        "save_steps": every,
        "save_total_limit": 2,
        "eval_on_start": True,
        "load_best_model_at_end": True,
        "metric_for_best_model": "eval_loss",
        "greater_is_better": False,
        "logging_steps": every,
        "max_length": None,
        "activation_checkpointing": False,
        "bf16": False,  # the weights have the type that is served; the adapter is in float32
        "report_to": "none",
        "disable_tqdm": True,
        "dataloader_drop_last": False,
        "seed": config.seed,
    }
    adapter = peft.LoraConfig(
        r=config.rank,
        lora_alpha=2 * config.rank,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    common = {
        "processing_class": tokenizer,
        "peft_config": adapter,
        "callbacks": [*callbacks, EarlyStoppingCallback(config.patience)],
    }
    parts = (examples.train, examples.held_out)
    if config.method == "sft":
        data = [_table(_sft_rows(part)) for part in parts]
        made = SFTConfig(**options, packing=False, dataset_kwargs={"skip_prepare_dataset": True})
        trainer = SFTTrainer(model, args=made, train_dataset=data[0], eval_dataset=data[1], **common)
    elif config.method == "dpo":
        data = [_table(_dpo_rows(part)) for part in parts]
        made = DPOConfig(**options, beta=config.beta, precompute_ref_log_probs=True)
        trainer = _DPOTrainer(model, args=made, train_dataset=data[0], eval_dataset=data[1], **common)
    else:
        data = [_table(_kto_rows(part, config)) for part in parts]
        options["train_sampling_strategy"] = "sequential"  # the mismatched replies are those of the same batch
        made = KTOConfig(**options, beta=config.beta, precompute_ref_log_probs=True, **_weights(examples.train))
        trainer = _KTOTrainer(model, args=made, train_dataset=data[0], eval_dataset=data[1], **common)
    trainer.remove_callback(PrinterCallback)
    return trainer


def steps_per_epoch(train: Sequence[Example], config: TuningConfig) -> int:
    """Return the number of batches of an epoch."""
    return -(-len(train) // config.batch)


def _table(rows: Iterator[dict[str, Any]]) -> Any:
    return Dataset.from_list(list(rows))


def _sft_rows(part: Sequence[Example]) -> Iterator[dict[str, Any]]:
    for one in part:
        labels = [*([-100] * len(one.prompt_ids)), *one.completion_ids]
        yield {"input_ids": [*one.prompt_ids, *one.completion_ids], "labels": labels}


def _dpo_rows(part: Sequence[Example]) -> Iterator[dict[str, Any]]:
    for one in part:
        pair = {"chosen_ids": list(one.completion_ids), "rejected_ids": list(one.rejected_ids)}
        yield {"prompt_ids": list(one.prompt_ids), **pair}


def _kto_rows(part: Sequence[Example], config: TuningConfig) -> Iterator[dict[str, Any]]:
    """Yield the rows of KTO. The mismatched reply of each is that of its neighbour in the batch, as TRL has it."""
    ordered = _mixed(part)
    for start in range(0, len(ordered), config.batch):
        batch = ordered[start : start + config.batch]
        for place, one in enumerate(batch):
            other = batch[place - 1] if len(batch) > 1 else ordered[start - 1]
            yield {
                "prompt_ids": list(one.prompt_ids),
                "completion_ids": list(one.completion_ids),
                "KL_completion_ids": list(other.completion_ids),
                "label": one.good,
            }


def _mixed(part: Sequence[Example]) -> list[Example]:
    """Spread both kinds evenly, so that batches have both: a batch is taken as it comes."""
    kinds = [[one for one in part if one.good is good] for good in (True, False)]
    placed = [((at + 0.5) / len(kind), number, one) for number, kind in enumerate(kinds) for at, one in enumerate(kind)]
    return [one for _, _, one in sorted(placed, key=lambda item: item[:2])]


def _weights(train: Sequence[Example]) -> dict[str, float]:
    """Weigh the rarer kind of reply up, so that both count the same (KTO, equation 8)."""
    good = sum(one.good for one in train)
    bad = len(train) - good
    return {
        "desirable_weight": min(MOST_WEIGHT, max(1.0, bad / good)),
        "undesirable_weight": min(MOST_WEIGHT, max(1.0, good / bad)),
    }


@contextmanager
def quiet_training() -> Iterator[None]:
    """Silence the bars, notices and warnings of the libraries meanwhile; errors are still raised."""
    import datasets
    from transformers.utils import logging as transformers_logging

    verbosity, bars = transformers_logging.get_verbosity(), datasets.is_progress_bar_enabled()
    before = os.environ.get("TQDM_DISABLE")
    os.environ["TQDM_DISABLE"] = "1"
    transformers_logging.set_verbosity_error()
    datasets.disable_progress_bars()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of one library's names that another one has renamed
            yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            datasets.enable_progress_bars()
        if before is None:
            del os.environ["TQDM_DISABLE"]
        else:
            os.environ["TQDM_DISABLE"] = before
