"""Messages that answer each other."""

from __future__ import annotations

from telic.assistants.mail import Address, MailMessage, threads_of

ANN, ME, EVE = (Address("", f"{name}@example.org") for name in ("ann", "me", "eve"))
DAY = 86400.0


def test_references_and_answers_by_subject_make_threads() -> None:
    question = MailMessage("1", ANN, (ME,), subject="Lunch", time=1 * DAY)
    answer = MailMessage("2", ME, (ANN,), subject="Re: Lunch", time=2 * DAY, references=("1",))
    without = MailMessage("3", ANN, (ME,), subject="RE: Re: lunch", time=3 * DAY)
    other = MailMessage("4", ANN, (ME,), subject="Lunch", time=4 * DAY)
    threads = threads_of([other, without, answer, question])
    assert [[one.id for one in thread.messages] for thread in threads] == [["4"], ["1", "2", "3"]]
    assert threads[1].subject == "Lunch"


def test_a_stranger_does_not_join_by_guessing_the_subject() -> None:
    question = MailMessage("1", ANN, (ME,), subject="Contract", time=1 * DAY)
    guess = MailMessage("2", EVE, (ME,), subject="Re: Contract", time=2 * DAY)
    late = MailMessage("3", ANN, (ME,), subject="Re: Contract", time=90 * DAY)
    assert len(threads_of([question, guess, late])) == 3
