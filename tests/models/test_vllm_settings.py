"""How vLLM runs a model: the table `[vllm]` of a purpose, and what each replica asks of a cluster."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from telic.cli.purpose_check import check_purpose_files
from telic.errors import ConfigError
from telic.models.catalog import load
from telic.models.vllm.settings import VllmSettings, check_options, replica_gpus
from telic.purpose import Purpose

TABLE = "tensor_parallel_size = 4\nquantization = 'fp8'\ngpu_memory_utilization = 0.85\nmax_model_len = 4096"


def purpose(table: str = TABLE, model: str = "vllm:smollm2") -> Purpose:
    return Purpose.from_text(f'name = "a"\nmodel = "{model}"\nsystem = "Be brief."\n[vllm]\n{table}\n', "a.toml")


def test_the_table_becomes_options_of_the_model() -> None:
    settings = purpose(TABLE + "\nmax_num_seqs = 96\nresidual = false").settings_of("vllm", VllmSettings)
    assert settings is not None
    assert settings.options() == {
        "tensor_parallel_size": 4,
        "quantization": "fp8",
        "gpu_memory_utilization": 0.85,
        "context_length": 4096,
        "max_batch": 96,
        "residual": False,
    }


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ("tensor_paralel_size = 4", "unknown setting 'tensor_paralel_size'; did you mean 'tensor_parallel_size'"),
        ("scheduler_cls = 'mine'", "unknown setting 'scheduler_cls'; known: .*quantization"),
        ("tensor_parallel_size = 0", "tensor_parallel_size is 0; expected a number greater than or equal to 1"),
        ("gpu_memory_utilization = 1.5", "gpu_memory_utilization is 1.5; expected a number less than or equal to 1"),
        ("gpu_memory_utilization = 0", "gpu_memory_utilization is 0"),
        ("max_model_len = 'long'", "max_model_len is 'long'"),
        ("quantization = ''", "quantization is ''"),
    ],
)
def test_a_wrong_setting_is_told_with_its_place(table: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=rf"a.toml, line 4: vllm: {told}"):
        purpose(table).settings_of("vllm", VllmSettings)
    with pytest.raises(ConfigError, match=told):
        replica_gpus([purpose(table)])
    path = tmp_path / "a.toml"
    path.write_text(f'name = "a"\nmodel = "vllm:smollm2"\nsystem = "Be brief."\n[vllm]\n{table}\n')
    with pytest.raises(ConfigError, match=told):
        check_purpose_files(type("Command", (), {"purpose": path})())


def test_a_table_for_a_model_that_vllm_does_not_run_here_is_refused() -> None:
    for model in ("smollm2", "http://localhost:8000/v1#m"):
        with pytest.raises(ConfigError, match=r'found \[vllm\], but model = .* in this process: model = "vllm:'):
            purpose(model=model)


def test_a_replica_needs_the_gpus_of_its_models() -> None:
    assert replica_gpus([]) == 0
    assert replica_gpus(["smollm2", "http://localhost/v1#vllm:m"]) == 0
    assert replica_gpus(["vllm:smollm2"]) == 1
    assert replica_gpus([purpose(), "vllm:other", "smollm2"]) == 5


def test_the_model_of_a_purpose_gets_its_table_and_an_option_replaces_it(monkeypatch: pytest.MonkeyPatch) -> None:
    model = pytest.importorskip("telic.models.vllm.model")
    made: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
    monkeypatch.setattr(model, "VllmModel", lambda *args, **options: made.append((args, options)))
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: find("torch" if name == "vllm" else name, *more)
    )
    load(purpose(), gpu_memory_utilization=0.5)
    load("vllm:smollm2", max_model_len=64)
    [(place, name), options], [_, other] = made
    assert (name, options["gpu_memory_utilization"], options["context_length"]) == ("smollm2", 0.5, 4096)
    assert "smollm2" in place.lower()
    assert other == {"max_model_len": 64}


def test_an_option_that_vllm_lacks_is_refused() -> None:
    known = ["gpu_memory_utilization", "max_model_len", "quantization"]
    check_options(["quantization"], known)
    with pytest.raises(ConfigError, match="unknown option 'quantisation' of a model on vLLM; did you mean 'quantiz"):
        check_options(["quantisation"], known)
    with pytest.raises(ConfigError, match="unknown option 'x' of a model on vLLM; the options are those of vLLM's"):
        check_options(["x"], known)
