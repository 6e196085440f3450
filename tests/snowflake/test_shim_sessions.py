"""Sessions, temporary tables and transactions of the patched fakesnow, through the real connector."""

import pytest
from snowflake.connector import connect
from snowflake.connector.errors import IntegrityError, ProgrammingError

from tests.support.snowflake.queries import ask


def test_a_temporary_table_is_named_with_or_without_its_schema_and_seen_by_its_session_alone(session, account):
    ask(session, "create temporary table ops.x as select 1 as a")
    ask(session, "insert into ops.x select a + 1 from ops.x")
    ask(session, "use schema ops")
    assert ask(session, "select x.a from x order by x.a") == [(1,), (2,)]
    assert [row[0] for row in ask(session, "describe table ops.x")] == ["A"]
    with connect(**account) as other, pytest.raises(ProgrammingError, match="does not exist or not authorized"):
        ask(other, "select * from ops.x")


def test_two_sessions_have_temporary_tables_of_the_same_name(session, account):
    with connect(**account) as other:
        for number, one in enumerate((session, other)):
            ask(one, f"create temporary table ops.x as select {number} as a")
        assert ask(session, "select a from ops.x") == [(0,)]
        assert ask(other, "select a from ops.x") == [(1,)]


def test_a_temporary_table_hides_a_permanent_one_until_it_is_dropped(session):
    ask(session, "create table ops.x as select 'lasting' as a")
    ask(session, "create temporary table ops.x as select 'passing' as a")
    assert ask(session, "select a from ops.x") == [("passing",)]
    ask(session, "drop table ops.x")
    assert ask(session, "select a from ops.x") == [("lasting",)]


def test_a_temporary_table_goes_with_its_session(session, account):
    with connect(**account) as other:
        ask(other, "create temporary table ops.x (a int)")
    assert ask(session, "select table_name from information_schema.tables where table_schema = 'OPS'") == []


def test_what_a_transaction_did_is_seen_by_others_when_it_is_committed(session, account):
    ask(session, "create table ops.x (a int)")
    with connect(**account) as other:
        ask(session, "begin")
        ask(session, "insert into ops.x values (1)")
        ask(session, "update ops.x set a = 2")
        assert ask(other, "select * from ops.x") == []
        ask(session, "commit")
        assert ask(other, "select * from ops.x") == [(2,)]


def test_a_transaction_that_is_rolled_back_did_nothing(session):
    ask(session, "create table ops.x as select 1 as a")
    ask(session, "begin")
    ask(session, "delete from ops.x")
    ask(session, "insert into ops.x values (2), (3)")
    ask(session, "truncate table ops.x")
    ask(session, "rollback")
    assert ask(session, "select * from ops.x") == [(1,)]


def test_without_autocommit_a_transaction_begins_with_the_first_change(account):
    with connect(**account, autocommit=False) as session, connect(**account) as other:
        ask(session, "create table ops.x (a int)")
        ask(session, "insert into ops.x values (1)")
        assert ask(other, "select * from ops.x") == []
        session.rollback()
        ask(session, "insert into ops.x values (2)")
        session.commit()
        assert ask(other, "select * from ops.x") == [(2,)]


@pytest.mark.parametrize(
    "ddl", ["create table ops.y (a int)", "create temporary table ops.y (a int)", "drop table ops.z"]
)
def test_a_statement_that_defines_something_commits_the_open_transaction(session, ddl):
    ask(session, "create table ops.x (a int)")
    ask(session, "create table ops.z (a int)")
    ask(session, "begin")
    ask(session, "insert into ops.x values (1)")
    ask(session, ddl)
    ask(session, "rollback")
    assert ask(session, "select * from ops.x") == [(1,)]


def test_two_writers_of_the_same_row_conflict_and_the_second_hears_of_it_at_once(session, account):
    ask(session, "create table ops.x as select 1 as a")
    with connect(**account) as other:
        ask(session, "begin")
        ask(session, "update ops.x set a = 2")
        with pytest.raises(ProgrammingError) as refused:
            ask(other, "update ops.x set a = 3")
        assert (refused.value.errno, refused.value.sqlstate) == (625, "57014")
        ask(session, "commit")
        assert ask(other, "select * from ops.x") == [(2,)]


def test_after_a_failed_statement_that_lost_the_transaction_nothing_passes_until_it_is_rolled_back(session):
    ask(session, "create table ops.x (a int not null)")
    ask(session, "begin")
    ask(session, "insert into ops.x values (1)")
    with pytest.raises(IntegrityError):
        ask(session, "insert into ops.x values (null)")
    with pytest.raises(ProgrammingError, match="roll back first"):
        ask(session, "commit")
    ask(session, "rollback")
    assert ask(session, "select * from ops.x") == []


def test_a_closed_session_loses_its_open_transaction(session, account):
    ask(session, "create table ops.x (a int)")
    other = connect(**account)
    ask(other, "begin")
    ask(other, "insert into ops.x values (1)")
    other.close()
    ask(session, "insert into ops.x values (2)")
    assert ask(session, "select * from ops.x") == [(2,)]
