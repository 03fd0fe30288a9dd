"""What tuning and choosing by a reward head give on the bundled model: loss, margins and AUC on held-out users.

    TELIC_TEST_DATA=FOLDER python -m benchmarks.tuning [--method kto] [--source abredial|simulated] [--minutes 15]

`abredial`: the dialogues of AB-ReDial (people who recommend movies), labelled by the detectors of `telic learn`. The
replies are people's, and who labels is not who is served, so this shows what is learnt from real, noisy evidence.
`simulated`: users who thank for a short reply that asks something and complain of a lecture, in words of their own;
this shows that the training works where there is something to learn. `--method best_of` measures what several
candidates cost. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.feedback_corpora import abredial, data_folder
from telic.episodes import Episode, Turn
from telic.feedback import Labeller
from telic.purpose import Purpose

SYSTEM = {
    "abredial": "You recommend movies.",
    "simulated": "You are Mia, a travel agent. Find out what the customer wants before you suggest anything.",
}
WISHES = ("a trip to {}", "a week in {}", "a holiday near {}", "a quiet weekend around {}", "a city break in {}")
PLACES = ("Lisbon", "Oslo", "the Alps", "Crete", "Vienna", "Dublin", "Malta", "the Azores", "Porto", "Bergen", "Riga")
QUESTIONS = (
    "Lovely. When would you like to go?",
    "Good idea. Who is coming with you?",
    "Happy to help. What is your budget?",
    "Sure. Do you prefer a hotel or an apartment?",
    "Of course. Would you rather fly or take the train?",
)
LECTURES = (
    "There are many things to know about {0}. First of all, {0} has a long history, and its old town is famous for its "
    "churches, its markets and its museums, all of which are worth a visit at any time of the year.",
    "{0} is one of the most popular destinations. I suggest the Grand Hotel, the river cruise, the museum pass and the "
    "airport shuttle, which are all very well known and can all be booked in advance by anybody.",
    "When travelling to {0}, one should pack light clothes, an umbrella, good shoes and a phrase book. It is also "
    "important to remember that shops may close on Sundays and that trains may be late.",
)
THANKS = ("Great, thank you!", "Thanks, that is helpful.", "Perfect, thanks a lot.", "Wonderful, thank you.")
COMPLAINTS = (
    "That's not what I asked.",
    "No, that is wrong. I never asked for that.",
    "This is useless, you are not listening to me.",
    "That's not helpful at all.",
)


def simulated(users: int = 60, each: int = 2, seed: int = 0) -> Iterator[Episode]:
    """Yield conversations of users who like questions and dislike lectures, some of whom say nothing."""
    draw = random.Random(seed)
    for user in range(users):
        for number in range(each):
            place = draw.choice(PLACES)
            good = draw.random() < 0.5
            reply = draw.choice(QUESTIONS) if good else draw.choice(LECTURES).format(place)
            answer = draw.choice(THANKS if good else COMPLAINTS)
            said = [f"Hello, I want {draw.choice(WISHES).format(place)}.", reply]
            said += [answer] if draw.random() < 0.9 else []
            roles = ("user", "assistant")
            turns = [
                Turn(role=roles[at % 2], round=at // 2 + 1, text=text, finish="given") for at, text in enumerate(said)
            ]
            yield Episode(
                id=f"s{user}-{number}", kind="log", seed=0, roles={"assistant": {}, "user": {}}, turns=turns,
                metadata={"user": f"u{user}"},
            )  # fmt: skip


def labelled(source: str, users: int) -> list[Episode]:
    """Return the labelled conversations of a source."""
    if source == "simulated":
        return list(Labeller().label_all(simulated(users)))
    folder = data_folder()
    if folder is None:
        sys.exit("there is no data; set TELIC_TEST_DATA to its folder")
    return list(Labeller().label_all(one.episode for one in abredial(folder)))


def cost_of_best_of(model_name: str, folder: Path) -> dict[str, Any]:
    """Measure the processor time of a reply for several numbers of candidates, with a head that chooses at random."""
    import numpy as np

    from telic.agents import Agent
    from telic.models import load
    from telic.readers.reward_head import RewardHead, save_reward_head
    from telic.steering.saving import Origin

    model = load(model_name)
    origin = Origin.of(model)
    weight_D = np.random.default_rng(0).standard_normal(origin.hidden_size).astype(np.float32)
    save_reward_head(RewardHead(weight_D, 0.0, origin), folder)
    found: dict[str, Any] = {}
    for best_of in (1, 2, 4, 8):
        purpose = Purpose(
            name="cost", model=model_name, system=SYSTEM["simulated"], reward_head=str(folder), best_of=best_of
        )
        seconds = []
        for number, place in enumerate(PLACES[:6]):
            agent = Agent(model, purpose, max_new_tokens=40, ignore_eos=True, seed=number)
            for text in (f"I want {WISHES[0].format(place)}.", "In May, with two children."):
                began = time.process_time()
                agent.reply(text)
                seconds.append(time.process_time() - began)
        found[str(best_of)] = {"seconds": round(float(np.median(seconds)), 3), "n": len(seconds)}
        print(f"best of {best_of}: {found[str(best_of)]}", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", default="kto", choices=("kto", "sft", "reward_head", "best_of"))
    parser.add_argument("--source", default="simulated", choices=tuple(SYSTEM))
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--users", type=int, default=60, help="simulated users")
    parser.add_argument("--conversations", type=int, default=None, help="only the first ones")
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--out", type=Path, default=None)
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE")
    chosen = parser.parse_args()
    from telic.registry import parse_settings

    if chosen.method == "best_of":
        folder = chosen.out or Path(tempfile.mkdtemp(prefix="telic-tuning-"))
        print(json.dumps({"processor_seconds_per_reply": cost_of_best_of(chosen.model, folder)}))
        return
    purpose = Purpose(name=chosen.source, model=chosen.model, system=SYSTEM[chosen.source])
    episodes, settings = labelled(chosen.source, chosen.users)[: chosen.conversations], parse_settings(chosen.set)
    folder = chosen.out or Path(tempfile.mkdtemp(prefix="telic-tuning-"))
    if chosen.method == "reward_head":
        from telic.learners.reward_head import train_reward_head

        learned = train_reward_head(episodes, purpose, folder=folder, **settings)
    else:
        from telic.learners.tuning import tune

        learned = tune(
            episodes, purpose, folder=folder, method=chosen.method, minutes=chosen.minutes, progress=True, **settings
        )
    print(f"{learned.folder}: {dict(learned.purpose_changes)}")
    used = {"processor_seconds": round(time.process_time(), 1)}
    print(json.dumps({"source": chosen.source, "conversations": len(episodes), **used, **learned.metrics}))


if __name__ == "__main__":
    main()
