-- One server and three databases. Temporal's role and the two roles of the ledger cannot access each other's databases.
-- The image runs this script once, when its volume is empty. On a managed PostgreSQL an administrator runs it.
--
-- `ledger_owner` owns the tables of the ledger; only the job `migrate` has its password. API and worker are `ledger`,
-- which gets its rights from that job: it can append to the audit, and neither change nor delete it.
--
-- The passwords come from the environment, not from a file, a command line or this script.
\set ON_ERROR_STOP on
\getenv temporal_password TEMPORAL_DB_PASSWORD
\getenv ledger_owner_password LEDGER_OWNER_DB_PASSWORD
\getenv ledger_password LEDGER_DB_PASSWORD

CREATE ROLE temporal LOGIN PASSWORD :'temporal_password';
CREATE ROLE ledger_owner LOGIN PASSWORD :'ledger_owner_password';
CREATE ROLE ledger LOGIN PASSWORD :'ledger_password';

-- The encoding is explicit: with the encoding SQL_ASCII, psycopg would return bytes instead of text.
CREATE DATABASE temporal OWNER temporal ENCODING 'UTF8' TEMPLATE template0;
CREATE DATABASE temporal_visibility OWNER temporal ENCODING 'UTF8' TEMPLATE template0;
CREATE DATABASE ledger OWNER ledger_owner ENCODING 'UTF8' TEMPLATE template0;

REVOKE ALL ON DATABASE temporal, temporal_visibility, ledger FROM PUBLIC;
GRANT CONNECT ON DATABASE ledger TO ledger;
