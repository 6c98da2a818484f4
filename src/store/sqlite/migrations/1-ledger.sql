-- Amounts are micro-credits, times Unix milliseconds, days counted since 1970 (UTC).

CREATE TABLE meta (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    -- Counts what was changed by hand.
    revision INTEGER NOT NULL,
    -- Counts writes that only showed that writing works.
    probed INTEGER NOT NULL
) STRICT;
INSERT INTO meta (only, revision, probed) VALUES (1, 0, 0);

CREATE TABLE accounts (
    id INTEGER PRIMARY KEY,
    name TEXT,
    reference TEXT UNIQUE,
    created_ms INTEGER NOT NULL,
    balance INTEGER NOT NULL CHECK (balance >= 0),
    leased INTEGER NOT NULL CHECK (leased >= 0 AND leased <= balance),
    credited INTEGER NOT NULL CHECK (credited >= balance),
    day INTEGER NOT NULL CHECK (day >= 0),
    day_used INTEGER NOT NULL CHECK (day_used >= 0)
) STRICT;

CREATE TABLE keys (
    id INTEGER PRIMARY KEY,
    account INTEGER NOT NULL REFERENCES accounts (id),
    hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
    hint TEXT NOT NULL,
    name TEXT,
    created_ms INTEGER NOT NULL,
    expires_ms INTEGER,
    revoked_ms INTEGER,
    cap INTEGER,
    spent INTEGER NOT NULL CHECK (spent >= 0)
) STRICT;
CREATE INDEX keys_of_account ON keys (account);

-- What each process may spend without asking. `requests` are of `day`, and part of the account's day_used.
CREATE TABLE leases (
    boot INTEGER NOT NULL,
    account INTEGER NOT NULL REFERENCES accounts (id),
    amount INTEGER NOT NULL CHECK (amount >= 0),
    day INTEGER NOT NULL,
    requests INTEGER NOT NULL CHECK (requests >= 0),
    PRIMARY KEY (boot, account)
) STRICT, WITHOUT ROWID;

-- Only ever added to. What a check of all of it reads stands first in the row.
CREATE TABLE ledger (
    seq INTEGER PRIMARY KEY,
    account INTEGER NOT NULL REFERENCES accounts (id),
    key INTEGER REFERENCES keys (id),
    kind TEXT NOT NULL CHECK (kind IN ('charge', 'grant', 'topup')),
    amount INTEGER NOT NULL CHECK ((kind = 'charge') = (amount <= 0)),
    balance_after INTEGER NOT NULL CHECK (balance_after >= 0),
    at_ms INTEGER NOT NULL,
    id TEXT NOT NULL UNIQUE,
    -- The rest is there for charges only.
    absorbed INTEGER CHECK (absorbed >= 0),
    prompt_tokens INTEGER,
    completion_tokens INTEGER,
    cached_tokens INTEGER,
    reasoning_tokens INTEGER,
    source TEXT,
    ended TEXT,
    reason TEXT,
    model TEXT,
    provider TEXT,
    streamed INTEGER,
    created_ms INTEGER,
    first_token_ms INTEGER,
    took_ms INTEGER
) STRICT;
-- Latest first, by sequence number; and sums over a time, which then read nothing else.
CREATE INDEX ledger_of_account ON ledger (account);
CREATE INDEX charges_by_time ON ledger (account, at_ms, key, amount) WHERE kind = 'charge';

CREATE TRIGGER ledger_is_not_changed BEFORE UPDATE ON ledger
BEGIN
    SELECT RAISE(ABORT, 'the ledger is only ever added to');
END;
CREATE TRIGGER ledger_keeps_everything BEFORE DELETE ON ledger
BEGIN
    SELECT RAISE(ABORT, 'the ledger is only ever added to');
END;

CREATE TABLE idempotency (
    account INTEGER NOT NULL REFERENCES accounts (id),
    key BLOB NOT NULL CHECK (length(key) = 32),
    body BLOB NOT NULL CHECK (length(body) = 32),
    entry TEXT NOT NULL,
    expires_ms INTEGER NOT NULL,
    PRIMARY KEY (account, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_by_end ON idempotency (expires_ms);
