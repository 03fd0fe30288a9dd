"""The digest: a user whose hidden interests drift, labelled inboxes, and how fast it is.

    python -m benchmarks.digest users                      # the world of papers, on which nothing was tuned
    python -m benchmarks.digest users --world towns        # the world that the weights were tuned on
    python -m benchmarks.digest briefings --data FOLDER    # labelled inboxes (GAIA): briefing.json, inbox.jsonl
    python -m benchmarks.digest speed

The last line of each is JSON. No part of it asks a model. Hostile items are in tests/assistants/digest/hostile.json and
are measured by the tests beside them.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rapidfuzz import fuzz

from benchmarks.digest_worlds import DAY, WORLDS, Published, World
from telic.assistants.digest import DigestConfig, DigestItem
from telic.assistants.digest.attention import asks_for_attention
from telic.assistants.digest.evidence import InterestEvidence, ShownItem, collect_evidence, reaction_event, shown_event
from telic.assistants.digest.interests import Interests
from telic.assistants.digest.ranking import RankingWeights, rank_stories
from telic.assistants.digest.stories import DigestStory, group_stories
from telic.memory import Memory
from telic.statistics import bootstrap_mean, paired_difference

START = 1_790_000_000.0
DAYS = 30
PER_DAY = 40
SHOWN = 10
CONFIG = DigestConfig.of(sources=[{"kind": "feed", "url": "x"}])


@dataclass
class SimulatedUser:
    """Who reads: hidden interests of which some change on the way.

    Three topics are liked, in each one subject is loved; two topics are disliked. On a day between 8 and 20 one liked
    topic becomes indifferent and another takes its place.
    """

    world: World
    seed: int
    liked: list[tuple[str, str]] = field(init=False)
    disliked: list[str] = field(init=False)
    drift: int = field(init=False)

    def __post_init__(self) -> None:
        draw = random.Random(f"reader {self.seed}")
        topics = draw.sample(sorted(self.world.topics), 6)
        self.liked = [(topic, draw.choice(sorted(self.world.topics[topic]))) for topic in topics[:4]]
        self.disliked, self.drift = topics[4:], draw.randint(8, 20)

    def relevance(self, published: Published, day: int) -> int:
        """Return 0 to 3: 3 for a loved subject, 2 for its topic, 1 for what is indifferent, 0 for what is disliked."""
        liked = self.liked[:3] if day < self.drift else self.liked[1:]
        if (published.topic, published.subject) in liked:
            return 3
        if published.topic in {topic for topic, _ in liked}:
            return 2
        return 0 if published.topic in self.disliked else 1

    def reaction(self, published: Published, day: int) -> str | None:
        """Return what the user does with an item: the same for every way to rank."""
        draw = random.Random(f"{self.seed} {published.item.link} {day}")
        chance = draw.random()
        relevance = self.relevance(published, day)
        if relevance == 3:
            return "more" if chance < 0.3 else "opened" if chance < 0.8 else None
        if relevance == 2:
            return "more" if chance < 0.05 else "opened" if chance < 0.45 else None
        if relevance == 1:
            return "opened" if chance < 0.06 else None
        return "less" if chance < 0.25 else "opened" if chance < 0.02 else None


Ranker = Callable[[Sequence[DigestStory], Memory, Sequence[ShownItem], float], list[DigestStory]]


def ours(weights: RankingWeights | None = None, config: DigestConfig = CONFIG, only: str = "") -> Ranker:
    """Return the digest's own ranking; `only` leaves evidence out: `positive`."""

    def rank(
        stories: Sequence[DigestStory], memory: Memory, shown: Sequence[ShownItem], now: float
    ) -> list[DigestStory]:
        evidence = collect_evidence(memory, config, now)
        if only == "positive":
            evidence = [one for one in evidence if one.target > 0]
        found, _ = rank_stories(stories, evidence, shown, now=now, most=SHOWN, most_per_source=SHOWN, weights=weights)
        return [one.story for one in found]

    return rank


def by_recency(
    stories: Sequence[DigestStory], _memory: Memory, _shown: Sequence[ShownItem], _now: float
) -> list[DigestStory]:
    """Return the newest."""
    return sorted(stories, key=lambda story: -(story.item.time or 0.0))[:SHOWN]


def by_likeness(
    stories: Sequence[DigestStory], memory: Memory, _shown: Sequence[ShownItem], now: float
) -> list[DigestStory]:
    """Return what is most like what the user opened or wanted more of: the mean TF-IDF cosine; else the newest."""
    liked = [
        InterestEvidence(event.text, 1.0, 1.0, "")
        for event in memory.events
        if event.kind == "reaction" and event.data["reaction"] in ("opened", "more")
    ]
    if not liked:
        return by_recency(stories, memory, (), now)
    stems, known = [story.item.stems for story in stories], [DigestItem("", one.text).stems for one in liked]
    scores = Interests([], [*stems, *known]).alike(stems, known).mean(axis=1)
    return [stories[number] for number in np.argsort(-scores, kind="stable")[:SHOWN]]


def ndcg(gains: Sequence[int], all_gains: Sequence[int]) -> float:
    """Return nDCG@10 with gains 2^relevance - 1."""
    discounts = 1 / np.log2(np.arange(2, SHOWN + 2))

    def dcg(values: Sequence[int]) -> float:
        kept = np.array([2.0**value - 1 for value in values[:SHOWN]])
        return float((kept * discounts[: len(kept)]).sum())

    return dcg(gains) / dcg(sorted(all_gains, reverse=True))


def read_for_a_month(user: SimulatedUser, rank: Ranker | None) -> list[float]:
    """Return the nDCG of each day; None ranks by the hidden interests."""
    draw = random.Random(f"news {user.seed}")
    memory, shown, seen = Memory(), list[ShownItem](), set[str]()
    known: dict[str, Published] = {}
    scores = []
    for day in range(DAYS):
        now = START + day * DAY
        today = user.world.day(draw, day, START, PER_DAY)
        known |= {one.item.id: one for one in today}
        fresh = [one for one in known.values() if one.item.id not in seen and (one.item.time or 0) > now - 2 * DAY]
        stories = group_stories([one.item for one in fresh])
        relevance = {one.item.id: user.relevance(one, day) for one in fresh}
        if rank is None:
            chosen = sorted(stories, key=lambda story: -relevance[story.item.id])[:SHOWN]
        else:
            chosen = rank(stories, memory, shown, now)
        scores.append(ndcg([relevance[one.item.id] for one in chosen], [relevance[story.item.id] for story in stories]))
        for number, story in enumerate(chosen, 1):
            event = shown_event(story.item, f"d{day}", number, now)
            memory.extend([event])
            title, _, text = event.text.partition("\n")
            one = ShownItem(story.item.id, f"d{day}", now, number, title, text, story.item.link, story.item.source)
            shown.append(one)
            seen |= {item.id for item in (story.item, *story.also)}
            reaction = user.reaction(known[story.item.id], day)
            if reaction is not None:
                memory.extend([reaction_event(one, reaction, now + 60)])
    return scores


def simulate(world: str, users: int, arms: dict[str, Ranker | None] | None = None) -> dict[str, Any]:
    """Compare ways to rank over users; the unit is a user's month."""
    arms = arms or {
        "digest": ours(),
        "recency": by_recency,
        "likeness": by_likeness,
        "digest, only positive evidence": ours(only="positive"),
        "digest, no half-life": ours(config=CONFIG.model_copy(update={"half_life_days": 1e6})),
        "digest, no doubt": ours(RankingWeights(doubt=0.0)),
    }
    months = {
        name: [read_for_a_month(SimulatedUser(WORLDS[world], seed), rank) for seed in range(users)]
        for name, rank in arms.items()
    }
    result: dict[str, Any] = {"world": world, "users": users, "days": DAYS, "arms": {}}
    first = next(iter(arms))
    for name, found in months.items():
        means = [float(np.mean(month)) for month in found]
        late = [float(np.mean(month[20:])) for month in found]
        own = [float(np.mean(month)) for month in months[first]]
        whole, last = bootstrap_mean(means), bootstrap_mean(late)
        against = paired_difference(own, means).difference
        print(f"{name:32} nDCG@10 {whole}   days 21-30 {last}   {first} less this {against}")
        result["arms"][name] = {
            "ndcg": [whole.value, whole.low, whole.high], "late": [last.value, last.low, last.high],
            "difference": [against.value, against.low, against.high],
        }  # fmt: skip
    return result


def briefings(data: Path) -> dict[str, Any]:
    """Rank labelled inboxes without knowing the user: does what must surface come before what must not?"""
    cases = json.loads((data / "briefing.json").read_text(encoding="utf-8"))
    rows = []
    for name, case in cases.items():
        if name == "_meta":
            continue
        items = [_mail(mail, number) for number, mail in enumerate(case["inbox"])]
        stories = [DigestStory(item) for item in items]
        ranked, _ = rank_stories(stories, [], [], now=START, most=len(items), most_per_source=len(items))
        place = {one.story.item.key: number for number, one in enumerate(ranked)}
        must = {_best(text, items) for text in case["rubric"]["must_surface"]}
        must_not = {_best(text, items) for text in case["rubric"]["must_not_surface"]} - must
        top = sum(place[key] < len(must) for key in must)
        pairs = [(place[a] < place[b]) for a in must for b in must_not]
        rows.append((top, len(must), sum(pairs), len(pairs)))
        print(f"{name}: {top} of {len(must)} on top, {sum(pairs)} of {len(pairs)} pairs in order; {case['scenario']}")
    recall = bootstrap_mean([top / n for top, n, _, _ in rows])
    order = bootstrap_mean([right / n for _, _, right, n in rows if n])
    result: dict[str, Any] = {
        "briefings": len(rows), "recall_on_top": [recall.value, recall.low, recall.high],
        "pairs_in_order": [order.value, order.low, order.high],
    }  # fmt: skip
    print(
        f"recall of what must surface, in as many places: {recall}; pairs in order: {order} (n = {len(rows)} inboxes)"
    )
    return {**result, **_inbox(data)}


def _inbox(data: Path) -> dict[str, Any]:
    """Measure how much attention the labelled mails of one inbox ask for."""
    mails = [json.loads(line) for line in (data / "inbox.jsonl").read_text(encoding="utf-8").splitlines()]
    scores: dict[str, list[float]] = {}
    for number, mail in enumerate(mails):
        label = "PHISHING" if mail["is_phishing"] else str(mail["category"])
        value = asks_for_attention(_mail({**mail, "from": mail["sender"]}, number))[0]
        scores.setdefault(label, []).append(value)
    for label, values in sorted(scores.items()):
        print(f"  {label:24} n = {len(values):3}, mean attention {np.mean(values):.2f}")
    return {"attention": {label: [len(values), float(np.mean(values))] for label, values in scores.items()}}


def _mail(mail: dict[str, Any], number: int) -> DigestItem:
    return DigestItem(
        mail["subject"], mail["body"], time=START, author=mail["from"], kind="mail", source="inbox", key=str(number)
    )


def _best(rubric: str, items: Sequence[DigestItem]) -> str:
    """Return the mail that a line of the rubric describes."""
    return max(items, key=lambda item: fuzz.token_set_ratio(rubric, f"{item.author} {item.title} {item.text}")).key


def speed(items: int = 500, evidence: int = 1000) -> dict[str, Any]:
    """Measure grouping and ranking on one core."""
    draw = random.Random(0)
    world = WORLDS["papers"]
    published = world.day(draw, 1, START, items)
    known = [
        InterestEvidence(f"{o.item.title} {o.item.text[:400]}", 1.0, 1.0, "x")
        for o in world.day(draw, 0, START, evidence)
    ]
    begun = time.process_time()
    stories = group_stories([one.item for one in published])
    grouped = time.process_time() - begun
    begun = time.process_time()
    rank_stories(stories, known, [], now=START, most=10, most_per_source=5)
    ranked = time.process_time() - begun
    print(f"{items} items, {evidence} pieces of evidence: grouped in {grouped:.2f} s, ranked in {ranked:.2f} s of CPU")
    return {"items": items, "evidence": evidence, "grouping_cpu_s": grouped, "ranking_cpu_s": ranked}


def main() -> None:
    """Run one part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("users", "briefings", "speed"))
    parser.add_argument("--world", choices=sorted(WORLDS), default="papers")
    parser.add_argument("--users", type=int, default=40)
    parser.add_argument("--data", type=Path)
    options = parser.parse_args()
    if options.part == "briefings" and options.data is None:
        parser.error("briefings needs --data FOLDER with briefing.json and inbox.jsonl")
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "users": lambda: simulate(options.world, options.users),
        "briefings": lambda: briefings(options.data),
        "speed": speed,
    }
    print(json.dumps(parts[options.part]()))


if __name__ == "__main__":
    main()
