"""Triggers with which a request brings its own fault: the title of a post, and nothing else, asks for it."""

from faults.postgres_process import PostgresProcess

# `sleep 3` sleeps in the statement, `commit sleep 3` in the COMMIT; `raise 40001` and
# `commit raise 40001` fail with that SQLSTATE. `touch 7` also changes post 7, half a second later.
SABOTAGE = """
CREATE FUNCTION obey(command text, argument text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    CASE command
        WHEN 'sleep' THEN PERFORM pg_sleep(argument::float);
        WHEN 'raise' THEN RAISE EXCEPTION 'sabotage' USING ERRCODE = argument;
        WHEN 'touch' THEN
            PERFORM pg_sleep(0.5);
            UPDATE posts SET body = body || '.' WHERE id = argument::bigint;
        ELSE NULL;
    END CASE;
END $$;

CREATE FUNCTION obey_statement() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM obey(split_part(NEW.title, ' ', 1), split_part(NEW.title, ' ', 2));
    RETURN NEW;
END $$;

CREATE FUNCTION obey_commit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM obey(split_part(NEW.title, ' ', 2), split_part(NEW.title, ' ', 3));
    RETURN NEW;
END $$;

CREATE TRIGGER at_statement AFTER INSERT OR UPDATE OF title ON posts
    FOR EACH ROW EXECUTE FUNCTION obey_statement();

CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT OR UPDATE OF title ON posts
    DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.title LIKE 'commit %') EXECUTE FUNCTION obey_commit();
"""


def install_sabotage(server: PostgresProcess, database: str) -> None:
    server.query(SABOTAGE, database=database)
