-- One segment of the ledger. A record's body is the text that its hash is over; every column that lists are found by is
-- made from it, so that none of them can say anything else. `carried` holds records of the segments before that are still
-- needed when those are away: the seal of the last one, keys of the last months, approvals that are in use.
CREATE TABLE records (
  seq INTEGER PRIMARY KEY,
  previous TEXT NOT NULL,
  hash TEXT NOT NULL,
  body TEXT NOT NULL,
  key TEXT NOT NULL AS (json_extract(body, '$.key')),
  at TEXT NOT NULL AS (json_extract(body, '$.at')),
  kind TEXT NOT NULL AS (json_extract(body, '$.kind')),
  run TEXT AS (json_extract(body, '$.run')),
  operation TEXT AS (json_extract(body, '$.operation')),
  target TEXT AS (json_extract(body, '$.target')),
  who TEXT AS (json_extract(body, '$.by')),
  said TEXT NOT NULL AS (json_extract(body, '$.text'))
);
CREATE UNIQUE INDEX records_key ON records (key);
CREATE INDEX records_at ON records (at);
CREATE INDEX records_kind ON records (kind);
CREATE INDEX records_run ON records (run) WHERE run IS NOT NULL;
CREATE INDEX records_operation ON records (operation) WHERE operation IS NOT NULL;
CREATE INDEX records_target ON records (target) WHERE target IS NOT NULL;
CREATE INDEX records_who ON records (who) WHERE who IS NOT NULL;
CREATE VIRTUAL TABLE words USING fts5 (said, run, operation, target, who, content = 'records', content_rowid = 'seq');

CREATE TABLE carried (
  seq INTEGER PRIMARY KEY,
  previous TEXT NOT NULL,
  hash TEXT NOT NULL,
  body TEXT NOT NULL,
  key TEXT NOT NULL AS (json_extract(body, '$.key')),
  at TEXT NOT NULL AS (json_extract(body, '$.at')),
  kind TEXT NOT NULL AS (json_extract(body, '$.kind')),
  run TEXT AS (json_extract(body, '$.run')),
  operation TEXT AS (json_extract(body, '$.operation')),
  target TEXT AS (json_extract(body, '$.target'))
);
CREATE UNIQUE INDEX carried_key ON carried (key);
CREATE INDEX carried_kind ON carried (kind);
CREATE INDEX carried_run ON carried (run) WHERE run IS NOT NULL;
CREATE INDEX carried_operation ON carried (operation, target) WHERE operation IS NOT NULL;

CREATE TRIGGER records_stay BEFORE UPDATE ON records BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER records_remain BEFORE DELETE ON records BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER carried_stay BEFORE UPDATE ON carried BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER carried_remain BEFORE DELETE ON carried BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;

-- The number of the segment, and when it was last opened: the only row that changes.
CREATE TABLE segment (only INTEGER PRIMARY KEY CHECK (only = 1), number INTEGER NOT NULL, opened TEXT NOT NULL);
