"""Dialogue games: pure, seeded state machines with hidden information and a reward."""

from telic.games.base import (
    Act,
    Event,
    Game,
    IllegalActError,
    Observation,
    Outcome,
    References,
    Step,
    build_game,
    registry,
)

__all__ = [
    "Act",
    "Event",
    "Game",
    "IllegalActError",
    "Observation",
    "Outcome",
    "References",
    "Step",
    "build_game",
    "registry",
]

registry.declare(
    assignment="telic.games.assignment:AssignmentGame",
    elicitation="telic.games.elicitation:Elicitation",
    issue="telic.games.issue:IssueGame",
    itinerary="telic.games.itinerary:ItineraryGame",
    mediation="telic.games.mediation:MediationGame",
    negotiation="telic.games.negotiation:Negotiation",
    redteam="telic.games.redteam:RedTeam",
    selfchat="telic.games.selfchat:SelfChat",
    sotopia="telic.games.sotopia:Sotopia",
)
