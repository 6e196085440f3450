import pytest

from recsys_platform.catalog.json_schema import MAX_DEPTH, Drift, discover, drift


def types(*records):
    return {path: field.type_names() for path, field in discover(records).fields.items()}


def test_every_field_of_every_record_is_found_with_its_types():
    assert types({"id": "b1", "pages": 3}, {"id": "b2", "price": 4.5, "sold": True}) == {
        "id": "string",
        "pages": "integer",
        "price": "number",
        "sold": "boolean",
    }


def test_a_field_knows_how_many_records_have_it_and_whether_it_was_null():
    fields = discover([{"id": 1, "author": None}, {"id": 2}, {"id": 3, "author": "Ada"}, {"id": 4}]).fields
    assert (fields["author"].share, fields["author"].nullable) == (0.5, True)
    assert (fields["id"].share, fields["id"].nullable) == (1.0, False)


def test_nested_objects_are_flattened_by_dots():
    assert types({"device": {"os": {"name": "x"}}}) == {
        "device": "object",
        "device.os": "object",
        "device.os.name": "string",
    }


def test_arrays_are_named_after_their_elements():
    assert types({"tags": ["a"], "none": [], "mixed": [1, "a", None], "grid": [[1.5]], "items": [{"id": 1}]}) == {
        "tags": "array<string>",
        "none": "array",
        "mixed": "array<integer> or array<string>",
        "grid": "array<array<number>>",
        "items": "array<object>",
        "items[].id": "integer",
    }


def test_a_field_of_many_array_elements_counts_once_for_its_record():
    fields = discover([{"items": [{"id": 1}, {"id": 2}]}, {"items": []}]).fields
    assert fields["items[].id"].share == 0.5
    assert fields["items"].type_names() == "array<object>"


def test_an_integer_among_numbers_is_a_number_and_strings_beside_numbers_are_both_told():
    assert types({"price": 4}, {"price": 4.5}) == {"price": "number"}
    assert types({"price": 4}, {"price": "four"}) == {"price": "integer or string"}


def test_a_field_that_is_always_null_has_no_type():
    assert types({"author": None}) == {"author": "null"}


def test_a_key_with_a_dot_is_not_taken_for_a_nested_field():
    assert types({"a.b": 1, "a": {"b": "x"}}) == {'"a.b"': "integer", "a": "object", "a.b": "string"}


def test_objects_without_a_bottom_are_not_followed_for_ever():
    deep = {"x": 1}
    for _ in range(100):
        deep = {"x": deep}
    assert len(discover([deep]).fields) == MAX_DEPTH + 1


def test_no_records_have_no_fields():
    assert (discover([]).records, dict(discover([]).fields)) == (0, {})


BEFORE = {"id": "b1", "author": "Ada", "pages": 3, "tags": ["a"]}


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (BEFORE, Drift()),
        (BEFORE | {"isbn": "1"}, Drift(added=("isbn",))),
        ({"id": "b1", "pages": 3, "tags": []}, Drift(removed=("author",))),
        (BEFORE | {"pages": "3"}, Drift(retyped={"pages": ("integer", "string")})),
        (BEFORE | {"pages": 3.5}, Drift(retyped={"pages": ("integer", "number")})),
        (BEFORE | {"pages": None}, Drift()),
        (BEFORE | {"tags": [1]}, Drift(retyped={"tags": ("array<string>", "array<integer>")})),
        (BEFORE | {"tags": "a, b"}, Drift(retyped={"tags": ("array<string>", "string")})),
        (BEFORE | {"author": {"name": "Ada"}}, Drift(added=("author.name",), retyped={"author": ("string", "object")})),
    ],
)
def test_what_came_went_or_changed_its_type_is_drift(after, expected):
    assert drift(discover([BEFORE]), discover([after])) == expected


@pytest.mark.parametrize(
    ("before", "after"),
    [(None, 1), ([], ["a"]), (["a"], []), (2.5, 2), ([2.5], [2]), ([[]], [["a"]])],
)
def test_what_a_reader_of_the_old_type_can_read_is_no_drift(before, after):
    assert not drift(discover([{"x": before}]), discover([{"x": after}]))


def test_a_field_that_keeps_one_of_two_types_is_no_drift():
    assert not drift(discover([{"x": 1}, {"x": "a"}]), discover([{"x": "b"}]))


def test_of_a_new_object_only_its_own_name_is_told():
    found = drift(discover([{"a": 1}]), discover([{"a": 1, "dev": {"os": 1}, "dev-x": 2, "list": [{"id": 1}]}]))
    assert found.added == ("dev", "dev-x", "list")


def test_nothing_can_be_said_without_records_on_both_sides():
    assert not drift(discover([]), discover([BEFORE]))
    assert not drift(discover([BEFORE]), discover([]))


def test_drift_is_told_in_one_sentence():
    found = drift(discover([BEFORE]), discover([{"id": 1, "isbn": "1", "pages": 3, "tags": ["a"]}]))
    assert found.sentence() == "added: isbn; removed: author; retyped: id (string, now integer)"
    assert Drift().sentence() == "the same fields"


def test_a_flood_of_new_fields_is_counted_not_listed():
    found = drift(discover([{"id": 1}]), discover([{"id": 1} | {f"f{n:03}": 1 for n in range(100)}]))
    assert found.sentence().endswith("f019 and 80 more")
