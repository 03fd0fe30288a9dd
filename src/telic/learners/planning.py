"""`learn_planner`: train a planner from labelled conversations, starting from the one that is served.

- *Cloning* is the default. Where the served planner plays dialogue acts, the acts that were played are cloned, weighted
  by their advantage (`telic.learners.advantages`; advantage-weighted regression, arXiv 1910.00177) and by how much
  likelier the served planner is to play them than the version that did. This takes seconds. Any other planner clones
  what was said, through the frozen model's gradient.
- *TD3+BC* (arXiv 2106.06860) on top, if `rl_steps` says so, from the logged states and actions.

Rewards are those that were inferred from what users said and did, never those of a game.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from telic.episodes import Episode
from telic.errors import ConfigError, DataError
from telic.files import read_json, write_json
from telic.learners.cloning import clone_from_acts, clone_from_utterances, reinforce
from telic.learners.config import PlannerLearningConfig
from telic.learners.decisions import Decisions, labelled_replies
from telic.learners.influence import InfluenceReport, cap_influence
from telic.learners.result import LEARNED, Learned
from telic.models import Model
from telic.models.local import LocalModel
from telic.planner.planner import Planner
from telic.planner.saving import load_planner, save_planner
from telic.progress import Phase, ProgressCallback, track
from telic.purpose import Purpose
from telic.runs import RunFolder

__all__ = ["learn_planner"]

METHOD = "planner"
CONVERSATIONS, CLONED, FINAL = "conversations.json", "cloned", "planner"


def learn_planner(
    model: Model,
    purpose: Purpose,
    labelled: Iterable[Episode],
    *,
    folder: str | Path = "runs",
    resume: str | Path | None = None,
    progress: bool | ProgressCallback = False,
    config: PlannerLearningConfig | None = None,
    **settings: Any,
) -> Learned:
    """Train a planner from labelled conversations.

    Args:
        model: the local model that the planner steers; it stays frozen.
        purpose: its `[planner]` is where the training starts; without one, a new planner is trained.
        labelled: labelled conversations, such as `telic.feedback.learn(source).labelled`.
        folder: where the run folder is made.
        resume: the folder of an interrupted run to continue, on the conversations that it began with.
        progress: True shows it on standard error; a function gets a `ProgressReport` with every step.
        config: settings.
        **settings: single fields of `PlannerLearningConfig`, which override those of `config`.

    Returns:
        The folder of the planner, as `telic train` writes it, with `learned.json`.

    Raises:
        ConfigError: the model is not a local one, the served planner was made for another model, or the run to be
            resumed had other settings.
        DataError: there are too few labelled conversations, or they cannot be compared; the message says what is
            needed.
    """
    config = PlannerLearningConfig.of(**{**(config.model_dump(exclude_unset=True) if config else {}), **settings})
    if not isinstance(model, LocalModel):
        raise ConfigError(
            f"model {model.name!r} does not run in this process, and training needs its gradient; expected a local "
            "model"
        )
    served, epsilon = _served(model, purpose)
    if config.rl_steps and served is None:
        raise ConfigError(
            f"rl_steps is {config.rl_steps}, but the purpose has no [planner] whose actions were logged; leave it out"
        )
    described = {
        "model": model.name,
        "purpose": purpose.model_dump(mode="json", exclude_none=True),
        "learn": {"method": METHOD, **config.model_dump(mode="json", exclude_none=True)},
    }
    episodes = [one for one in labelled if one.failure is None and labelled_replies(one)]
    if resume is None:
        check_labels(episodes, config.least)
        run = RunFolder.create(folder, "learn", purpose.name, described)
    else:
        run = RunFolder.resume(resume, described)
    with run, track(progress) as tracker:
        tracker.start(run.path, run.warnings, [Phase(CLONED, "stages"), Phase("td3bc", "steps", config.rl_steps)])
        episodes = _same_conversations(run, episodes)
        capped = cap_influence(episodes, config.share)
        training = PlannerTraining(model, purpose, config, run, served, epsilon, capped, tracker.begin)
        return training.finish(*training.learn())


def check_labels(episodes: list[Episode], least: int) -> None:
    """Refuse labelled conversations that nothing can be learnt from.

    Raises:
        DataError: there are fewer than `least`, or all labels are of one kind.
    """
    if len(episodes) < least:
        raise DataError(
            f"{len(episodes)} conversations have a labelled reply; expected at least {least}. With fewer, chance "
            "decides which replies look good. Serve more conversations, or report events (a purchase, a closed ticket)"
        )
    labels = [label for episode in episodes for label in labelled_replies(episode)]
    good, bad = sum(label > 0 for label in labels), sum(label < 0 for label in labels)
    if not good or not bad:
        kind = "praised" if good else "blamed" if bad else "neutral"
        raise DataError(
            f"all {len(labels)} labelled replies are {kind}; expected good and bad ones, because learning compares them"
        )


def _served(model: LocalModel, purpose: Purpose) -> tuple[Planner | None, float]:
    """Load the planner that the purpose names, and its exploration."""
    if purpose.planner is None:
        return None, 0.0
    table = purpose.resolve_path(purpose.planner)
    served = load_planner(str(table.get("path", "")), model=model, force=bool(table.get("force", False)))
    return served, float(table.get("epsilon", 0.0))


def _same_conversations(run: RunFolder, episodes: list[Episode]) -> list[Episode]:
    """Note the conversations of a new run; of a resumed one, select those that it began with.

    Raises:
        ConfigError: some of them are gone.
    """
    path = run.path / CONVERSATIONS
    if not path.exists():
        write_json(path, {"conversations": [one.id for one in episodes]})
        return episodes
    known = read_json(path)["conversations"]
    found = {one.id: one for one in episodes}
    gone = [name for name in known if name not in found]
    if gone:
        raise ConfigError(
            f"{len(gone)} of the {len(known)} conversations that this run began with are gone, such as {gone[0]!r}; "
            "start again without --resume"
        )
    return [found[name] for name in known]


@dataclass(frozen=True)
class PlannerTraining:
    """The stages of a training, each of which is kept in the run folder."""

    model: LocalModel
    purpose: Purpose
    config: PlannerLearningConfig
    run: RunFolder
    served: Planner | None
    epsilon: float
    capped: InfluenceReport
    begin: Callable[[str], None]
    """Called with the name of each phase."""

    def learn(self) -> tuple[Planner, dict[str, Any], tuple[str, ...]]:
        """Run the stages that are not done; returns the planner, figures and the conversations that were used."""
        config, decisions = self.config, self._decisions()
        self.begin(CLONED)
        cloned, figures = self._stage(self._cloning(decisions))
        by_acts = self.served is not None and self.served.shape.mapping == "acts"
        sources = decisions.sources if decisions and by_acts else tuple(one.id for one in self.capped.episodes)
        if decisions is not None and config.rl_steps:
            self.begin("td3bc")
            cloned, more = reinforce(cloned, decisions, config)
            figures |= more
        if decisions is not None and decisions.skipped:
            figures["skipped"] = decisions.skipped
        return cloned, figures, sources

    def _decisions(self) -> Decisions | None:
        """Collect the decisions of planners; None if the training needs none.

        Raises:
            DataError: there are too few.
        """
        served, least = self.served, self.config.least
        if served is None or not (served.shape.mapping == "acts" or self.config.rl_steps):
            return None
        found = Decisions.of(self.capped.episodes, served)
        if len(found.sources) < least:
            reasons = "; ".join(f"{count} {reason}" for reason, count in found.skipped.items())
            raise DataError(
                f"{len(found.sources)} labelled conversations have decisions that this planner can learn from; "
                f"expected at least {least}. Left out: {reasons or 'none'}"
            )
        return found

    def _cloning(self, decisions: Decisions | None) -> Callable[[], tuple[Planner, dict[str, Any]]]:
        """Return the cloning that suits the served planner."""
        served, config = self.served, self.config
        if served is not None and decisions is not None and served.shape.mapping == "acts":
            return lambda: clone_from_acts(served, decisions, config, self.epsilon)
        state = self.run.path / CLONED / "state"
        return lambda: clone_from_utterances(self.model, self.purpose, served, self.capped.episodes, config, state)

    def _stage(self, train: Callable[[], tuple[Planner, dict[str, Any]]]) -> tuple[Planner, dict[str, Any]]:
        """Load the planner that was cloned, or clone and save it."""
        folder = self.run.path / CLONED
        if (folder / "config.json").is_file() and (folder / "figures.json").is_file():
            return load_planner(folder, model=self.model), read_json(folder / "figures.json")
        planner, figures = train()
        save_planner(planner, folder, model=self.model)
        write_json(folder / "figures.json", figures)
        return planner, figures

    def finish(self, planner: Planner, figures: dict[str, Any], sources: tuple[str, ...]) -> Learned:
        """Save the planner and say from what it was learnt."""
        folder = (self.run.path / FINAL).resolve()
        labels = [label for one in self.capped.episodes for label in labelled_replies(one)]
        metrics = {
            "conversations": len(sources),
            "labelled_replies": len(labels),
            "praised": sum(label > 0 for label in labels) / len(labels),
            **figures,
            "outliers": self.capped.as_dicts(),
        }
        note = f"Learnt from {len(sources)} conversations with users, from what they said and did."
        save_planner(planner, folder, model=self.model, note=note)
        changes = {"planner": {**self._options(), "path": str(folder)}}
        document = {
            "method": METHOD,
            "model": self.model.name,
            "purpose": self.purpose.name,
            "settings": self.config.model_dump(mode="json"),
            "purpose_changes": changes,
            "metrics": metrics,
            "sources": list(sources),
        }
        write_json(folder / LEARNED, document)
        headline = (
            f"a planner from {len(sources)} conversations, {metrics['praised']:.0%} of {len(labels)} replies praised"
        )
        self.run.append_metrics({"headline": headline, "learned": metrics})
        return Learned(METHOD, changes, folder, metrics, sources)

    def _options(self) -> dict[str, Any]:
        """Options of the purpose's planner that stay; the hash of the old one does not."""
        return {key: value for key, value in (self.purpose.planner or {}).items() if key not in ("path", "sha256")}
