-- One row per number of an adjust, inserted by the adjust or by its cancel, whichever comes first.
CREATE TABLE IF NOT EXISTS adjusts (
  number            TEXT PRIMARY KEY,
  state             TEXT NOT NULL CHECK (state IN ('APPLIED', 'NOT_APPLIED', 'REVERSED', 'BURNT')),
  code              TEXT NOT NULL,  -- the answer to the adjust, the same one each time
  third_server_code TEXT,           -- the order from here on, NULL while the number is BURNT
  user_name         TEXT,
  currency          TEXT,
  biz_type          BIGINT,
  operation_type    TEXT,
  amount            TEXT,           -- exact decimal without trailing zeros
  order_id          BIGINT,
  company           TEXT
);

-- One row per number of a cancel.
CREATE TABLE IF NOT EXISTS cancels (
  number        TEXT PRIMARY KEY,
  adjust_number TEXT NOT NULL,
  code          TEXT NOT NULL       -- the answer to the cancel, the same one each time
);

CREATE TABLE IF NOT EXISTS accounts (
  third_server_code TEXT,
  currency          TEXT,
  balance           TEXT NOT NULL,  -- exact decimal
  PRIMARY KEY (third_server_code, currency)
);
