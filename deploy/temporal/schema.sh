#!/bin/sh
# Creates or updates the schema of Temporal's two databases for the version of this image. Safe to repeat.
#
# The databases exist already (deploy/postgres/databases.sql), so the role does not need the right to create databases.
# Connection: SQL_PLUGIN, SQL_HOST, SQL_PORT, SQL_USER, SQL_PASSWORD.
set -eu

# setup-schema creates the version tables if they are missing; it does not change existing ones.
update_database() {
  SQL_DATABASE=$1
  export SQL_DATABASE
  temporal-sql-tool setup-schema -v 0.0
  temporal-sql-tool update-schema -d "/etc/temporal/schema/postgresql/v12/$2/versioned"
}

update_database temporal temporal
update_database temporal_visibility visibility
