"""What the file of list rules may say."""

from pathlib import Path

import pytest

from recsys_platform.recommender.errors import ListRulesError
from recsys_platform.recommender.lists.list_rules import (
    Exploration,
    ListRules,
    Promotion,
    RerankingRules,
    load_list_rules,
)
from recsys_platform.recommender.lists.rules import Rules


def test_the_file_that_comes_with_the_platform_says_its_defaults() -> None:
    assert load_list_rules() == ListRules()
    assert ListRules().rules == Rules()


def test_what_is_not_said_keeps_its_default(tmp_path: Path) -> None:
    path = tmp_path / "list_rules.yaml"
    path.write_text("""
rules: {finished: false, language: own}
exclude: ["0042"]
reranking:
  diversity: 0.2
  promoted: [{book_id: b7, rank: 1}]
exploration: {slots: [5, 10]}
""")
    assert load_list_rules(path) == ListRules(
        Rules(finished=False, language="own"),
        ("0042",),
        RerankingRules(diversity=0.2, promoted=(Promotion("b7", 1),)),
        Exploration((5, 10)),
    )
    path.write_text("rules:\nexclude:\n")
    assert load_list_rules(path) == ListRules()
    path.write_text("# nothing\n")
    assert load_list_rules(path) == ListRules()


def test_the_file_in_the_documentation_can_be_used(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "lists.md").read_text(encoding="utf-8")
    path = tmp_path / "list_rules.yaml"
    path.write_text(text.split("```yaml")[1].split("```")[0], encoding="utf-8")
    rules = load_list_rules(path)
    assert rules.reranking.promoted == (Promotion("b0007", 1),)
    assert rules.exploration == Exploration((5, 10), 60)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a: [", "cannot be read from"),
        ("- rules", "must be a mapping with the names rules, exclude, reranking, exploration, not "),
        ("exclude: [b1]\nrules: {}\nexclude: [b2]", "line 3: the key 'exclude' appears twice; remove one of them"),
        ("rules: {finished: true, finished: false}", "line 1: the key 'finished' appears twice"),
        ("reranking: {promoted: [{book_id: b1, rank: 1, rank: 2}]}", "the key 'rank' appears twice"),
        ("reranking: {promoted: [{book_id: b1, rank: true}]}", "promoted, entry 1, rank: .*integer, not True"),
        ("reranking: {pool: -3}", "reranking.pool: .*greater than or equal to 1, not -3"),
        ("reranking: {diversity: -1}", "reranking.diversity: .*greater than or equal to 0, not -1"),
        ("reranking: {diversity: true}", "reranking.diversity: .*number, not True"),
        ("exploration: {slots: [-1]}", "exploration.slots, entry 1: .*not -1"),
        ("rulez: {}", "has the unknown name 'rulez': use one of rules, exclude"),
        ("rules: {finishd: false}", "rules has the unknown name 'finishd': use one of finished"),
        ("rules: true", "rules must be a mapping with the names"),
        ("rules: {language: english}", "rules.language: input should be 'any' or 'own', not 'english'"),
        ("rules: {finished: perhaps}", "rules.finished: .*boolean.*, not 'perhaps'"),
        ("exclude: b1", "exclude: input should be a list, not 'b1'"),
        ("exclude: [b1, 0042]", "exclude, entry 2: a book id must be text: write '34' with quotes"),
        ("exclude: ['']", "exclude, entry 1: .*at least 1 character"),
        ("reranking: {diversity: 2}", "reranking.diversity: .*less than or equal to 1, not 2"),
        ("reranking: {diversity: .nan}", "reranking.diversity: "),
        ("reranking: {most_of_a_category: 0}", "reranking.most_of_a_category: .*greater than or equal to 1"),
        ("reranking: {pool: 0}", "reranking.pool: .*greater than or equal to 1"),
        ("reranking: {promoted: [{book: b1, rank: 1}]}", "reranking.promoted, entry 1, has the unknown name 'book'"),
        ("reranking: {promoted: [b1]}", "reranking.promoted, entry 1, must be a mapping with the names book_id, rank"),
        ("reranking: {promoted: [{book_id: b1}]}", "reranking.promoted, entry 1, rank: field required"),
        ("reranking: {promoted: [{book_id: b1, rank: 0}]}", "reranking.promoted, entry 1, rank: .*equal to 1, not 0"),
        ("exploration: {slots: [0]}", "exploration.slots, entry 1: .*equal to 1, not 0"),
        ("{exclude: [b1], reranking: {promoted: [{book_id: b1, rank: 1}]}}", "b1 is both promoted and excluded"),
        (
            "reranking: {promoted: [{book_id: b1, rank: 1}, {book_id: b1, rank: 2}]}",
            "b1 is promoted twice: give it one rank",
        ),
        (
            "reranking: {promoted: [{book_id: b1, rank: 1}, {book_id: b2, rank: 1}]}",
            "two books are promoted to rank 1: give each its own rank",
        ),
        (
            "{reranking: {promoted: [{book_id: b1, rank: 2}]}, exploration: {slots: [2]}}",
            "rank 2 is both promoted and an exploration slot",
        ),
    ],
)
def test_a_mistake_in_the_file_of_list_rules_is_one_sentence(text: str, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "list_rules.yaml"
    path.write_text(text)
    with pytest.raises(ListRulesError, match=complaint) as error:
        load_list_rules(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
