"""PostgreSQL: real, not root, on loopback only; changes can be read from its log; kill -9 loses nothing."""

import contextlib
import os
import shutil
import subprocess
import sys

import psutil
import pytest

from interplay.servers import ServerError, executable, listening, postgres, process, workers

psycopg = pytest.importorskip("psycopg")
pytestmark = pytest.mark.servers


def test_it_is_a_real_one_on_loopback_only_and_not_root(db):
    assert listening(db.pid) == [db.address]
    assert db.address.startswith("127.0.0.1:")
    assert executable(db.pid).name == "postgres"
    assert psutil.Process(db.pid).uids().real != 0
    assert not (db.folder / "secret").exists()
    without = db.url.replace(db.url.split("@")[0], "postgresql://postgres")
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(without)


def test_a_transaction_is_all_or_nothing_and_the_log_tells_it(db):
    sql = db.connect()
    sql.execute("DROP TABLE IF EXISTS notes; CREATE TABLE notes (id int PRIMARY KEY, text text)")
    db.slot("tap")
    with contextlib.suppress(ZeroDivisionError), sql.transaction():
        sql.execute("INSERT INTO notes VALUES (1, 'gone')")
        raise ZeroDivisionError
    sql.execute("INSERT INTO notes VALUES (2, 'kept')")
    changes = [line for line in db.decode("tap") if line.startswith("table")]
    assert changes == ["table public.notes: INSERT: id[integer]:2 text[text]:'kept'"]
    assert db.decode("tap") == []
    db.slot("tap")  # begins anew
    db.drop_slot("tap")
    db.drop_slot("tap")
    with pytest.raises(psycopg.errors.UndefinedObject):
        db.decode("tap")
    sql.close()


def test_kill_minus_nine_loses_nothing_that_was_committed(capsys):
    if sentence := postgres.missing():
        pytest.skip(sentence)
    db = postgres.start()
    assert capsys.readouterr().out.startswith("PostgreSQL starts … ready in ")
    db.sql.execute("CREATE TABLE notes (id int)")
    db.sql.execute("INSERT INTO notes VALUES (1)")
    folder, children = db.folder, psutil.Process(db.pid).children()
    assert children
    db.kill()
    assert workers.wait_for(lambda: not any(map(process._runs, children)))
    db.start()
    assert db.sql.execute("SELECT id FROM notes").fetchall() == [(1,)]
    pid = db.pid
    db.stop()
    assert not folder.exists()
    assert "fast shutdown request" in db.log(8)  # in good order, though clients were connected
    assert not psutil.pid_exists(pid)


@pytest.mark.skipif(not shutil.which("ipcs"), reason="ipcs shows what shared memory there is")
def test_killed_and_stopped_it_leaves_no_shared_memory():
    if sentence := postgres.missing():
        pytest.skip(sentence)
    db = postgres.start(quiet=True)
    segment = (db.folder / "data" / "postmaster.pid").read_text().split()[-2]
    db.kill()
    assert segment in subprocess.check_output(["ipcs", "-m"], text=True).split()
    db.stop()
    assert segment not in subprocess.check_output(["ipcs", "-m"], text=True).split()


def test_an_address_in_the_environment_is_used_instead(db, monkeypatch, capsys):
    monkeypatch.setenv("DATABASE_URL", db.url)
    given = postgres.start()
    assert capsys.readouterr().out == f"PostgreSQL: the one at {db.address}, as DATABASE_URL says.\n"
    given.sql.execute("CREATE TABLE given (id int)")
    given.slot("mine")
    assert given.connect().execute("SELECT count(*) FROM course.given").fetchone() == (0,)
    given.stop()
    for left in ("pg_namespace WHERE nspname = 'course'", "pg_replication_slots"):
        assert db.sql.execute(f"SELECT count(*) FROM {left}").fetchone() == (0,)
    monkeypatch.setenv("DATABASE_URL", "postgresql://me:secret@127.0.0.1:9/mine")
    with pytest.raises(ServerError, match=r"DATABASE_URL is set, but 127.0.0.1:9 does not answer") as caught:
        postgres.start()
    assert "secret" not in str(caught.value)


def test_a_given_one_is_tidied_up_when_the_notebook_ends_without_a_word(db):
    code = "from interplay.servers import postgres; db = postgres.start(); db.slot('forgotten')"
    environment = {**os.environ, "DATABASE_URL": db.url}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True)
    for left in ("pg_namespace WHERE nspname = 'course'", "pg_replication_slots"):
        assert db.sql.execute(f"SELECT count(*) FROM {left}").fetchone() == (0,)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="only root has to become somebody else")
def test_where_nobody_cannot_reach_it_there_is_one_sentence(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(postgres, "_folder", lambda: tmp_path / "nothing")
    assert not postgres.require()
    said = capsys.readouterr().out
    assert "the user nobody cannot reach the course's environment" in said
    assert said.count("\n") == 1
