"""The Hub: whether a model can be had, found out before anything heavy is imported."""

from __future__ import annotations

from telic.errors import ModelError

__all__ = ["require_model"]

HUB_SECONDS = 5.0
"""Time in which the Hub has to answer before a download begins."""

_ADVICE = "Give the folder of a model or a .gguf file, or download the model where the Hub can be reached"


def require_model(name: str) -> None:
    """Check that a model was downloaded before, or that the Hub answers.

    The Hub is asked once, with a short timeout: a download would retry for a minute before it fails.

    Raises:
        ModelError: it does not answer, or `HF_HUB_OFFLINE` forbids to ask.
    """
    import huggingface_hub
    from huggingface_hub import constants
    from huggingface_hub.errors import HfHubHTTPError

    if isinstance(huggingface_hub.try_to_load_from_cache(name, "config.json"), str):
        return
    if constants.is_offline_mode():
        raise ModelError(f"model {name!r} is not on this machine, and HF_HUB_OFFLINE is set. {_ADVICE}", "unreachable")
    try:
        huggingface_hub.model_info(name, timeout=HUB_SECONDS)
    except HfHubHTTPError:
        return  # the Hub answers; what it refuses, loading reports
    except Exception as error:  # the network's errors, of the HTTP library that the Hub's client uses
        raise ModelError(
            f"model {name!r} is not on this machine, and the Hub ({constants.ENDPOINT}) cannot be reached: {error}. "
            f"{_ADVICE}",
            "unreachable",
        ) from error
