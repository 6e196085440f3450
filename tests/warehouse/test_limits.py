"""What DuckDB may take of the machine, and that a signal ends what it is doing."""

import signal
import subprocess
import sys
import time

import duckdb
import pytest

from recsys_platform.common.errors import PublishError
from recsys_platform.config.factories import warehouse_of
from recsys_platform.config.settings import load_settings
from tests.support.pace import patience

STATEMENTS = {
    "a join of everything with everything": "select count(*) from range(3000000) a(i) join range(45000) b(j) on i % 3 = j % 3",
    "a large sort": "select hash(i, j) as h from range(3000) a(i), range(45000) b(j) order by h",
    "a large aggregate": "select i % 100, count(distinct hash(i, j)) from range(3000) a(i), range(45000) b(j) group by 1",
}
PROGRAM = """
import signal, sys
from pathlib import Path
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse

def end(number, frame):
    raise SystemExit(128 + number)

for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, end)
warehouse = DuckDBWarehouse(Path(sys.argv[1]), memory_limit="500MB", temp_limit="2GB")
warehouse.prepare()
print("ready", flush=True)
{work}
"""
WORK = {
    "a query": "warehouse.frame({sql!r})",
    "a check of published lists": (
        "warehouse.publish('v1', {{}}, inputs={{}}, checks={{'it is so': 'select count(*) from ({sql})'}})"
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("work", WORK)
@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_signal_ends_a_statement_within_seconds(tmp_path, statement, work, number):
    program = PROGRAM.format(work=WORK[work].format(sql=STATEMENTS[statement]))
    command = [sys.executable, "-c", program, str(tmp_path / "w.duckdb")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.7)
        process.send_signal(number)
        sent = time.monotonic()
        _, said = process.communicate(timeout=30)
    assert process.returncode == 128 + number, said
    assert time.monotonic() - sent < 3 * patience()
    assert not (tmp_path / "w.duckdb.tmp").exists()


def test_the_warehouse_keeps_to_the_limits_of_the_settings(tmp_path):
    environment = {
        "RECSYS_HOME": str(tmp_path),
        "RECSYS_DUCKDB_MEMORY_LIMIT": "1GiB",
        "RECSYS_DUCKDB_TEMP_LIMIT": "2 GiB",
    }
    warehouse = warehouse_of(load_settings(environment))
    warehouse.prepare()
    sql = "select current_setting('memory_limit') as memory, current_setting('max_temp_directory_size') as temp"
    assert warehouse.frame(sql).to_pylist() == [{"memory": "1.0 GiB", "temp": "2.0 GiB"}]


def test_an_error_of_a_statement_is_what_it_was(warehouse):
    with pytest.raises(PublishError, match=r"it is so \(2 rows do not\)"):
        warehouse.publish("v1", {}, inputs={}, checks={"it is so": "select 2"})
    with warehouse.connect() as con, pytest.raises(duckdb.ConversionException):
        con.execute("select cast('x' as integer)").fetchall()
