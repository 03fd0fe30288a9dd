"""Two worlds of news for the benchmark of the digest. Nothing is shared between them: not topics, words or wording.

In the world of *towns*, an item is a short report from a template with words of one topic. In that of *papers*, it is
an abstract: words are drawn by rank (Zipf), from a topic, from a subject of it, and from what all papers say. Half of
the titles of papers do not name their subject.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from telic.assistants.digest import DigestItem

__all__ = ["WORLDS", "Published", "World"]

DAY = 86_400.0


@dataclass(frozen=True)
class Published:
    """An item, and what it is about."""

    item: DigestItem
    topic: str
    subject: str


@dataclass(frozen=True)
class World:
    """Topics with their subjects, and how an item is written."""

    topics: Mapping[str, Mapping[str, tuple[str, ...]]]
    """Words by topic and subject."""
    write: Callable[[random.Random, World, str, str], tuple[str, str]]

    def day(self, draw: random.Random, number: int, start: float, count: int) -> list[Published]:
        """Publish the items of one day."""
        found = []
        for index in range(count):
            topic = draw.choice(sorted(self.topics))
            subject = draw.choice(sorted(self.topics[topic]))
            title, text = self.write(draw, self, topic, subject)
            moment = start + (number - draw.random()) * DAY
            source = f"source {draw.randrange(6)}"
            link = f"https://{topic.replace(' ', '')}.example/{number}/{index}"
            found.append(Published(DigestItem(title, text, link, moment, source=source), topic, subject))
        return found


def _topics(text: str) -> dict[str, dict[str, tuple[str, ...]]]:
    """Read `topic | subject: words | subject: words` from lines."""
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for line in text.strip().splitlines():
        topic, *subjects = (part.strip() for part in line.split("|"))
        found[topic] = {one.partition(":")[0]: tuple(one.partition(":")[2].split()) for one in subjects}
    return found


TOWNS = _topics(
    """
    rail | sleepers: sleeper berth couchette overnight carriage steward | trams: tram depot overhead stop driver route | freight: wagon siding container shunting haul loco
    bread | sourdough: starter levain crumb hydration crust proofing | cakes: sponge icing cream layer frosting tin | flour: mill rye spelt grain stone bran
    football | cup: final kickoff penalty striker keeper replay | transfers: signing fee contract winger agent bid | stadium: terrace pitch floodlight seats roof turf
    gardens | roses: rose pruning thorn bloom shrub hip | vegetables: bean marrow plot compost seedling harvest | ponds: frog lily newt pump liner duckweed
    music | jazz: saxophone trumpet swing trio bebop standards | opera: soprano aria libretto chorus baritone overture | choirs: alto hymn rehearsal cantor psalm evensong
    weather | storms: gale surge lightning squall warning gust | snow: drift plough blizzard thaw sledge frost | heat: drought heatwave shade reservoir hosepipe sunburn
    health | clinics: nurse ward surgery appointment waiting consultant | vaccines: jab dose booster flu immunity trial | sleep: insomnia nap snore apnoea pillow melatonin
    money | rents: landlord tenant lease deposit eviction flat | taxes: levy refund allowance inspector bracket return | banks: branch loan mortgage teller overdraft vault
    animals | dogs: puppy kennel leash terrier bark collie | birds: swift nest fledgling warbler plumage ringing | bees: hive swarm honey queen apiary varroa
    books | crime: detective murder alibi sleuth inspector clue | poetry: verse sonnet stanza rhyme anthology poet | libraries: loan shelf archive librarian catalogue reading
    cycling | racing: peloton sprint jersey breakaway climb stage | lanes: kerb cyclist bollard junction crossing helmet | repairs: spoke chain puncture gear hub brake
    theatre | comedy: farce punchline sketch standup laughter heckler | puppets: marionette strings booth glove carver shadow | musicals: tap chorus encore choreographer matinee score
    """
)
PAPERS = _topics(
    """
    parsing | dependency: treebank arcs head projective transition biaffine | constituency: chart span grammar cky brackets lexicalised | semantic: logical lambda denotation compositional executable schema
    retrieval | dense: encoder embedding contrastive negatives passage index | sparse: bm25 inverted postings term expansion lexical | conversational: rewriting clarifying history followup query session
    vision | detection: anchor bounding proposal region nms localisation | segmentation: mask pixel instance panoptic boundary contour | depth: stereo monocular disparity lidar geometry calibration
    robotics | grasping: gripper antipodal suction clutter finger tactile | locomotion: quadruped gait terrain torque actuator stance | mapping: slam odometry landmark loop pose lidar
    speech | recognition: phoneme ctc acoustic transcript wer spectrogram | synthesis: vocoder prosody mel neural timbre waveform | diarization: speaker overlap cluster xvector turn microphone
    biology | folding: residue backbone contact msa protein conformer | genomics: variant locus expression transcript promoter chromatin | ecology: species habitat survey occupancy camera migration
    optimisation | convex: duality subgradient proximal smooth lipschitz hull | stochastic: minibatch variance momentum stepsize noise sgd | combinatorial: routing knapsack branch cut heuristic matching
    privacy | differential: epsilon noise budget mechanism laplace accountant | federated: client server aggregation round heterogeneity device | attacks: membership inversion reconstruction leakage extraction shadow
    quantum | circuits: qubit gate ansatz variational depth entangling | error: syndrome stabiliser surface decoder threshold logical | annealing: ising hamiltonian spin tunnelling embedding coupler
    economics | auctions: bidder reserve truthful revenue valuation mechanism | labour: wage minimum employment vacancy unemployment search | markets: liquidity spread orderbook volatility trader price
    climate | oceans: current salinity upwelling buoy circulation acidification | glaciers: ice calving basal flow melt moraine | clouds: aerosol droplet albedo convection precipitation radiative
    networks | routing: packet congestion latency bgp queue switch | social: community centrality influence cascade homophily ties | security: intrusion malware traffic anomaly botnet firewall
    """
)
OPENINGS = (
    "Council hears about",
    "Neighbours talk of",
    "A new week for",
    "Questions over",
    "Good news on",
    "Long wait for",
    "Harlow sees",
    "Volunteers bring",
)
FILLERS = (
    "Residents met on Tuesday evening in the hall.", "A spokesman gave no figure.", "Work began in spring and ends in autumn.",
    "The mayor called it a good day for everyone.", "Tickets are sold at the door.", "More than forty people signed a letter.",
    "Nobody expected it so soon.", "A second meeting follows next month.",
)  # fmt: skip
COMMON = [
    "we",
    "propose",
    "method",
    "results",
    "show",
    "model",
    "data",
    "approach",
    "performance",
    "paper",
    "task",
    "existing",
    "framework",
    "large",
    "novel",
    "training",
    "experiments",
    "improve",
    "learning",
    "benchmark",
    "state",
    "art",
    "problem",
    "demonstrate",
    "across",
    "present",
    "analysis",
    "study",
    "evaluation",
    "significantly",
    "baseline",
    "achieve",
    "setting",
    "efficient",
    "introduce",
    "general",
    "based",
    "while",
    "outperforms",
    "across",
    "different",
]
VAGUE = (
    "Towards a better understanding of",
    "Revisiting",
    "On the limits of",
    "A simple baseline for",
    "Scaling",
    "What matters in",
    "Rethinking",
)


def _report(draw: random.Random, world: World, topic: str, subject: str) -> tuple[str, str]:
    words = list(world.topics[topic][subject])
    draw.shuffle(words)
    others = [word for group in world.topics[topic].values() for word in group]
    title = f"{draw.choice(OPENINGS)} {words[0]} and {words[1]}"
    lines = [
        f"The {words[2]} and the {words[3]} matter most, says a {draw.choice(others)} expert.",
        draw.choice(FILLERS),
    ]
    lines += [
        f"{topic.capitalize()} lovers hope for a {draw.choice(others)} by {draw.choice(words)}.",
        draw.choice(FILLERS),
    ]
    return title, " ".join(lines)


def _abstract(draw: random.Random, world: World, topic: str, subject: str) -> tuple[str, str]:
    own = world.topics[topic][subject]
    shared = [word for group in world.topics[topic].values() for word in group]
    far = [word for groups in world.topics.values() for group in groups.values() for word in group]

    def drawn() -> str:
        kind = draw.random()
        pool = own if kind < 0.16 else shared if kind < 0.24 else far if kind < 0.30 else COMMON
        return pool[min(int(draw.paretovariate(0.9)) - 1, len(pool) - 1)] if pool is COMMON else draw.choice(pool)

    named = draw.choice(own) if draw.random() < 0.5 else topic
    title = f"{draw.choice(VAGUE)} {named} {draw.choice(COMMON)} {draw.choice(COMMON)}"
    sentences = [" ".join(drawn() for _ in range(draw.randint(9, 18))).capitalize() + "." for _ in range(5)]
    return title, " ".join(sentences)


WORLDS = {"towns": World(TOWNS, _report), "papers": World(PAPERS, _abstract)}
