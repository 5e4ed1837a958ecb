-- One server, three databases, two roles that cannot see each other's. The image runs this once, when its
-- volume is still empty. On a managed PostgreSQL an administrator runs the same.
--
-- The passwords come from the environment: never from a file, a command line or this script.
\set ON_ERROR_STOP on
\getenv temporal_password TEMPORAL_DB_PASSWORD
\getenv ledger_password LEDGER_DB_PASSWORD

CREATE ROLE temporal LOGIN PASSWORD :'temporal_password';
CREATE ROLE ledger LOGIN PASSWORD :'ledger_password';

-- The encoding is said outright: on a server set up without one, psycopg would hand out bytes for text.
CREATE DATABASE temporal OWNER temporal ENCODING 'UTF8' TEMPLATE template0;
CREATE DATABASE temporal_visibility OWNER temporal ENCODING 'UTF8' TEMPLATE template0;
CREATE DATABASE ledger OWNER ledger ENCODING 'UTF8' TEMPLATE template0;

REVOKE ALL ON DATABASE temporal, temporal_visibility, ledger FROM PUBLIC;
