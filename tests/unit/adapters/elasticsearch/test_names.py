from hypothesis import given
from hypothesis import strategies as st

from nexxus.adapters.elasticsearch import names

_REFUSED = set('\\/*?"<>| ,#:') | set("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
ANY_NAME = st.text(min_size=1, max_size=150).filter(lambda name: name.isprintable())
LIKELY_NAME = st.text(alphabet="aAbB_-+.~1é", min_size=1, max_size=6)


def test_names_stay_readable() -> None:
    assert names.index_of("nexxus", "my-shop", "lineItem") == "nexxus.my-shop.line_item"
    assert names.index_of("nexxus", "_nexxus", "application") == "nexxus.__nexxus.application"


@given(name=ANY_NAME | LIKELY_NAME)
def test_an_index_name_has_only_valid_characters(name: str) -> None:
    index = names.index_of("prefix", name, name)
    assert not _REFUSED & set(index)
    assert index.isascii()
    assert len(index) <= 255 - len(names.write_alias("", "0" * 16))
    assert index.count(".") == 2


@given(one=ANY_NAME | LIKELY_NAME, other=ANY_NAME | LIKELY_NAME)
def test_different_names_stay_different(one: str, other: str) -> None:
    assert (names.encode(one) == names.encode(other)) is (one == other)


def test_truncated_names_stay_different() -> None:
    long = "x" * 300
    assert names.encode(long) != names.encode(f"{long}x")


def test_an_index_name_is_never_the_write_alias_of_another() -> None:
    alias = names.write_alias("nexxus.app.task", "0123")
    assert names.is_write_alias("nexxus.app.task", alias)
    assert not names.is_write_alias("nexxus.app.tas", alias)
