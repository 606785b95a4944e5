from __future__ import annotations

from headrace.protocol.spelling import nearest


def test_a_close_name_is_suggested() -> None:
    assert nearest("brokr", ["broker", "learner"]) == "did you mean 'broker'?"


def test_without_a_close_name_all_are_listed() -> None:
    assert nearest("zzz", ["learner", "broker"]) == "known: broker, learner"


def test_case_does_not_count_and_synonyms_come_first() -> None:
    assert nearest("ppo", ["PPO", "SAC"]) == "did you mean 'PPO'?"
    known = ["lr", "learner_class"]
    assert nearest("learning_rate", known, {"learning_rate": "lr"}) == "did you mean 'lr'?"
