"""Which settings make two versions of a purpose need models of their own."""

from __future__ import annotations

from typing import Any

import pytest

from telic.errors import ConfigError
from telic.promotion.serving import model_settings
from telic.purpose import Purpose

ON_VLLM = "vllm:some/model"


def settings_of(**values: Any) -> dict[str, Any]:
    return model_settings(Purpose(**{"name": "guide", "system": "Hello.", **values}))


def test_a_model_is_its_name_and_its_adapter() -> None:
    plain = settings_of(model="fake", system="Hello.")
    assert plain == settings_of(model="fake", system="Good evening.", rules=["Be brief."]) == {"model": "fake"}
    assert plain != settings_of(model="smollm2")
    assert settings_of(model="smollm2") != settings_of(model="smollm2", adapter="a") != settings_of(model="smollm2")


def test_on_vllm_it_is_also_how_vllm_runs_it() -> None:
    plain = settings_of(model=ON_VLLM)
    assert plain != settings_of(model=ON_VLLM, vllm={"quantization": "fp8"})
    assert settings_of(model=ON_VLLM, vllm={"dtype": "float32"}) != settings_of(model=ON_VLLM, vllm={"dtype": "half"})
    assert plain != settings_of(model=ON_VLLM, vllm={"residual": False})
    spelt_out = {"tensor_parallel_size": 1, "residual": True}
    assert plain == settings_of(model=ON_VLLM, vllm={}) == settings_of(model=ON_VLLM, vllm=spelt_out)


def test_a_wrong_table_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"vllm.*tensor_parallel_size is 0"):
        settings_of(model=ON_VLLM, vllm={"tensor_parallel_size": 0})
