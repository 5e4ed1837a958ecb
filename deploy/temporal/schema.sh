#!/bin/sh
# Bring Temporal's two databases to the schema of this image's version. Safe to repeat.
#
# The databases exist already (deploy/postgres/databases.sql), so the role needs no right to create any.
# Connection: SQL_PLUGIN, SQL_HOST, SQL_PORT, SQL_USER, SQL_PASSWORD.
set -eu

# setup-schema only makes the version tables, and leaves those that are there.
bring_up() {
  SQL_DATABASE=$1
  export SQL_DATABASE
  temporal-sql-tool setup-schema -v 0.0
  temporal-sql-tool update-schema -d "/etc/temporal/schema/postgresql/v12/$2/versioned"
}

bring_up temporal temporal
bring_up temporal_visibility visibility
