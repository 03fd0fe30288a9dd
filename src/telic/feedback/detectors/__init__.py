"""Detectors: each finds one kind of evidence of how good a reply was."""

from telic.feedback.detectors.base import Detector, default_detectors, registry

__all__ = ["Detector", "default_detectors", "registry"]
