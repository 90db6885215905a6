"""Short questions with answers, to compare an export on where a run has no rows of its own left."""

from __future__ import annotations

from luthier.flow import Conversation, Message, Place

QUESTIONS = (
    ("What is the capital of Norway?", "Oslo."),
    ("Write one sentence about the sea in winter.", "The winter sea lies grey under low clouds."),
    ("How many days have the first three months of 2023?", "90: January has 31, February 28 and March 31."),
    ("Translate into German: Where is the station?", "Wo ist der Bahnhof?"),
    ("Name three fruits that grow on trees.", "Apples, pears and cherries."),
    ("What does `len([1, 2, 3])` give in Python?", "3"),
    ("My parcel has not arrived. What should I ask for?", "Ask the shop for the tracking number."),
    ("Is 91 a prime number?", "No: 91 is 7 times 13."),
    ("Give the opposite of each word: early, narrow, brave.", "Late, wide, cowardly."),
    ("Turn this into a question: The shop opens at nine.", "Does the shop open at nine?"),
    ("What is 17 plus 26?", "43"),
    ("Sum up in three words: the bus came late and was full.", "Late, crowded bus."),
    ("Which planet is closest to the sun?", "Mercury."),
    ("Answer as JSON with the key `colour`: what colour has grass?", '{"colour": "green"}'),
    ("Who wrote the play Hamlet?", "William Shakespeare."),
    ("Why do ships float?", "They push away water that weighs as much as they do."),
)


def questions() -> list[Conversation]:
    """Each question with its answer, as a chat row."""
    return [
        Conversation(
            "chat", (Message("user", asked), Message("assistant", answer)), Place("packaged questions", number)
        )
        for number, (asked, answer) in enumerate(QUESTIONS, 1)
    ]
