from dolium.asgi.shares import Shares


def test_nobody_has_more_than_a_share() -> None:
    places = Shares(5, 2)
    assert [places.take("ada") for _ in range(3)] == [True, True, False]
    assert places.take("bob")
    assert (places.taken, places.held("ada"), places.held("bob")) == (3, 2, 1)
    places.give("ada")
    assert places.take("ada")
    assert not places.take("ada")


def test_there_is_an_end_for_all_together() -> None:
    places = Shares(3, 2)
    assert all([places.take("ada"), places.take("ada"), places.take("bob")])
    assert not places.take("cy")
    places.give("ada")
    assert places.take("cy")


def test_what_is_refused_is_not_taken() -> None:
    room = Shares(100, 60)
    assert room.take("ada", 60)
    assert not room.take("bob", 41)
    assert room.take("bob", 40)
    assert room.taken == 100


def test_whoever_holds_nothing_is_forgotten() -> None:
    """There is no end to the number of those who come."""
    places = Shares(3, 2)
    for name in range(1000):
        assert places.take(name, 2)
        places.give(name, 2)
        assert not places.take(name, 4)
    assert places._held == {}
    assert places.taken == 0
